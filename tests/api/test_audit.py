"""The audit log: which changes it holds, what an event says, who may read it, and how it is searched."""

import json

import pytest

from chalicelib import errors, routes
from chalicelib.codec import times
from chalicelib.http.route import DEVICE
from chalicelib.schemas import audit as schema
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import accounts, audit, profile_erasures, profiles
from chalicelib.services.devices import erasures
from chalicelib.store import Entity, names
from tests.kit.accounts import PASSWORD, Mails, Person
from tests.kit.api import Api
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, killed_after, throttled
from tests.kit.governed import RunUser
from tests.kit.world import World, point

NOT_AUDITED = {
    "POST /integration/parser/run",
    "POST /data", "PUT /data", "DELETE /data", "POST /device/{device_id}/data", "PUT /device/{device_id}/data",
    "DELETE /device/{device_id}/data", "PUT /device/params/{param_id}", "POST /analysis/services/mqtt/publish",
    "GET /integration/network/resolve/{serial}", "GET /integration/network/resolve/{serial}/{authorization}",
    "POST /integration/network/publish", "POST /integration/network/data",
    "GET /profile/{profile_id}/auditlog", "GET /profile/{profile_id}/auditlog/{query_id}",
}  # fmt: skip
"""Rows that change nothing but points, what a device does with its own parameters, what stores nothing, and what only
notes a use."""
CALLER = Caller("profile", "0" * 24, "", "full", None, "0" * 64)


def log(world, **query):
    return world.admin.get(f"/profile/{world.profile}/auditlog", query=query).result


def events(world, **query):
    return [(event["message"], event["resourceID"]) for event in log(world, **query)["events"]]


def test_every_row_that_changes_something_is_audited():
    for row in routes.ALL:
        name = f"{row.method} {row.path}"
        resource = audit.resource_of(row.path)
        if (row.method == "GET" and row.need == "read") or not row.who:
            continue
        assert (resource is None) is (name in NOT_AUDITED), name
        assert resource is None or (resource in schema.RESOURCES and row.who != (DEVICE,)), name


def test_each_change_is_one_event_the_newest_first(clock, world):
    admin, start = world.admin, f"/device/{world.device}"
    made = admin.post("/device", {"name": "Second"}).result["device_id"]
    clock.advance(1)
    admin.put(start, {"name": "Renamed"})
    clock.advance(1)
    token = admin.post("/device/token", {"device": made, "name": "t", "permission": "read"}).result["token"]
    clock.advance(1)
    admin.delete(f"/device/token/{token}")
    clock.advance(1)
    admin.post(f"{start}/params", {"key": "k", "value": "v"})
    clock.advance(1)
    world.send(point("a"))
    admin.get("/device")
    admin.delete(f"/device/{made}")
    assert events(world) == [
        ("Delete a device and all it has", made),
        ("Change and add parameters", world.device),
        ("Delete a token", made),
        ("Create a token of a device", made),
        ("Change a device", world.device),
        ("Create a device", made),
    ]


def test_event_says_who_when_and_from_where(clock, world):
    sent = {"name": "Laptop", "permission": "full"}
    token = tokens.create(kind="profile", profile=world.profile, sent=sent)["token"]
    Api(token, address="192.0.2.7").put(f"/device/{world.device}", {"name": "Renamed"})
    answer = log(world)
    assert answer["status"] == "Complete" and answer["events"] == [
        {
            "resourceName": "device", "message": "Change a device", "resourceID": world.device,
            "who": "Laptop (profile token)", "account": None, "address": "192.0.2.7", "date": times.to_iso(NOW_MS),
        }
    ]  # fmt: skip
    assert answer["statistics"]["recordsMatched"] == answer["statistics"]["recordsScanned"] == 1
    assert answer["statistics"]["bytesScanned"] > 100


def test_refused_change_leaves_no_event(world):
    assert world.admin.put(f"/device/{'0' * 24}", {"name": "Renamed"}).status == 404
    assert world.admin.put(f"/device/{world.device}", {"chunk_retention": 3}).status == 400
    assert world.admin.put(f"/device/{world.device}", {"name": 1}).status == 400
    assert world.api.put(f"/device/{world.device}", {"name": "Renamed"}).status == 401
    assert events(world) == []


def test_event_is_there_before_the_change(dynamo):
    """A process that dies between the two must not leave a change that nobody knows of."""
    world = World()
    world.admin.get("/device")  # notes the use of the token
    with killed_after("PutItem", 1), pytest.raises(Killed):
        world.admin.put(f"/device/{world.device}", {"name": "Renamed"})
    assert world.admin.get(f"/device/{world.device}").result["name"] == "Device"
    assert events(world) == [("Change a device", world.device)]


def test_without_an_event_there_is_no_change(dynamo):
    world = World()
    with throttled("PutItem", 99):
        assert world.admin.put(f"/device/{world.device}", {"name": "Renamed"}).status == 503
    assert world.admin.get(f"/device/{world.device}").result["name"] == "Device" and events(world) == []


def test_new_thing_is_answered_although_its_id_cannot_be_added(dynamo, monkeypatch):
    world = World()
    put, puts = dynamo.put, []

    def only_once(entity):
        puts.append(entity)
        if len(puts) > 1:
            raise errors.Unavailable
        put(entity)

    monkeypatch.setattr(dynamo, "put", only_once)
    assert world.admin.post("/device", {"name": "Second"}).status == 200
    assert len(puts) == 2 and events(world) == [("Create a device", "")]


def test_what_an_event_costs(dynamo):
    world = World()
    world.admin.get("/device")
    world.send(point("a"))
    with counting() as calls:
        world.send(point("a"))
    assert calls == {"PutItem": 1}
    with counting() as calls:
        world.admin.put(f"/device/{world.device}", {"name": "Renamed"})
    assert calls == {"GetItem": 2, "PutItem": 2}, "the token's name and the event; the device read and written"


def test_change_that_is_postponed_is_one_event(sqlite, monkeypatch):
    from chalicelib.host import deadline

    world = World()
    world.send(*[point("a", number) for number in range(3)])
    drop, tries = sqlite.drop_segments, []

    def slow(*args, **kwargs):
        tries.append(1)
        if len(tries) < 3:
            raise deadline.TooLong
        return drop(*args, **kwargs)

    monkeypatch.setattr(sqlite, "drop_segments", slow)
    raw = world.admin.raw("POST", f"/device/{world.device}/empty")
    while "postponed" in raw:
        raw = raw["postponed"].finish().to_dict()
    assert len(tries) == 3 and raw["statusCode"] == 200
    (event,) = sqlite.list(names.audit(world.profile), "")
    assert event.doc["message"] == "Remove all points of a device"


def put(profile, at_ms, **fields):
    from chalicelib import store

    doc = {
        "resource": "device",
        "resource_id": "",
        "message": "m",
        "who": "w",
        "account": "",
        "address": "",
        "at_ms": at_ms,
    }
    store.current().put(Entity(names.audit(profile), names.event(at_ms, "0" * 16), {**doc, **fields}))


def test_search_filters_and_limits(clock, world):
    other = "a" * 24
    for number in range(6):
        put(
            world.profile,
            NOW_MS - number * times.DAY_MS,
            message=f"Change {number}",
            resource_id=other if number % 2 else "",
        )
    put(world.profile, NOW_MS - 1, resource="action", message="An action", who="Straße", address="192.0.2.1")
    put(world.profile, NOW_MS - 8 * times.DAY_MS, message="old")
    found = lambda **query: [message for message, _ in events(world, **query)]  # noqa: E731
    assert found() == ["Change 0", "An action", *(f"Change {number}" for number in range(1, 6))]
    assert found(limit=2) == ["Change 0", "An action"]
    assert found(resourceName="action") == found(find="STRASSE") == found(find="192.0.2") == ["An action"]
    assert found(resourceID=other) == ["Change 1", "Change 3", "Change 5"]
    assert found(start_date="2 days") == ["Change 0", "An action", "Change 1", "Change 2"]
    assert found(start_date="10 days", end_date="7 days") == ["old"]
    assert found(start_date=times.to_iso(NOW_MS - times.DAY_MS), end_date=times.to_iso(NOW_MS - times.DAY_MS)) == [
        "Change 1"
    ]


@pytest.mark.parametrize(("name", "text"), [("resourceName", "x"), ("limit", "0"), ("limit", "1001"), ("start_date", "8 days"), ("start_date", "x"), ("end_date", "8 days"), ("find", "x" * 101), ("resourceID", "x" * 101)])  # fmt: skip
def test_search_names_the_parameter_that_breaks_a_rule(world, name, text):
    query = {name: text} if name != "end_date" else {"start_date": "1 day", "end_date": text}
    query = {"start_date": "now", **query} if name == "end_date" else query
    answer = world.admin.get(f"/profile/{world.profile}/auditlog", query=query)
    assert answer.status == 400 and {name, "start_date"} & answer.body["field_errors"].keys()


def test_query_can_be_polled_and_gives_the_same_answer(clock, world):
    for number in range(3):
        put(world.profile, NOW_MS - number, message=f"Change {number}", resource_id="b" * 24)
    first = log(world, find="change", resourceID="b" * 24, resourceName="device", limit=2)
    clock.advance(3600)
    put(world.profile, NOW_MS + 1, message="Change later", resource_id="b" * 24)
    assert world.admin.get(f"/profile/{world.profile}/auditlog/{first['queryId']}").result == first


@pytest.mark.parametrize(
    "text", ["x", "e30", "W10", "bnVsbA", "%ff", "ü", "A" * 3000, "eyJsaW1pdCI6IngifQ", "eyJzdGFydF9kYXRlIjoiMSJ9"]
)
def test_unknown_query_is_not_found(world, text):
    answer = world.admin.get(f"/profile/{world.profile}/auditlog/{text}")
    assert (answer.status, answer.message) == (404, "Query not found")


def test_search_stops_at_its_limit_of_events(world, monkeypatch):
    monkeypatch.setattr(audit, "MAX_SCANNED", 5)
    for number in range(7):
        put(world.profile, times.from_datetime(times.to_datetime(NOW_MS)) - number)
    query = schema.AuditQuery(0, NOW_MS, "", "", "nothing", 100)
    answer = audit.search(caller=CALLER._replace(profile=world.profile), profile=world.profile, query=query)
    assert (answer["status"], answer["statistics"]["recordsScanned"], answer["events"]) == ("Timeout", 5, [])


def test_events_are_kept_for_half_a_year(clock, each_store):
    world = World()
    world.admin.put(f"/device/{world.device}", {"name": "Renamed"})
    clock.advance(183 * 86_400)
    span = {"start_date": times.to_iso(NOW_MS), "end_date": times.to_iso(NOW_MS + 1)}
    assert events(world, **span) == [("Change a device", world.device)]
    clock.advance(86_400)
    assert events(world, **span) == []


def owned(email):
    account = accounts.create(name="Name", email=email, password_hash="x")
    return account, profiles.create(name="Profile", account=account)


def test_only_the_owner_reads_the_log(each_store):
    owner, (profile, token) = owned("owner@localhost")
    member, (_, members_token) = owned("member@localhost")
    _, (_, strangers_token) = owned("stranger@localhost")
    each_store.put(Entity(names.account(member), names.profile(profile), {"role": "member"}))
    guest = tokens.new(
        kind="profile", profile=profile, subject="", sent={"name": "g", "permission": "full"}, account=member
    )
    tokens.store_all(guest.entities)
    _, owners_other = profiles.create(name="Another", account=owner)

    def status(text, path=profile):
        return Api(text).get(f"/profile/{path}/auditlog").status

    assert status(token) == status(token, "current") == status(owners_other) == 200
    assert status(guest.shown["token"]) == status(guest.shown["token"], "current") == status(members_token) == 401
    assert status(strangers_token) == status(token, "0" * 24) == status(token, "x") == 404
    for permission in ("read", "write"):
        sent = {"name": "r", "permission": permission}
        assert status(tokens.create(kind="profile", profile=profile, sent=sent)["token"]) == 401


def test_event_names_the_account_of_the_token(each_store):
    account, (profile, token) = owned("owner@localhost")
    made = tokens.new(
        kind="profile", profile=profile, subject="", sent={"name": "CLI", "permission": "full"}, account=account
    )
    tokens.store_all(made.entities)
    Api(made.shown["token"]).post("/device", {"name": "Device"})
    (event,) = Api(token).get("/profile/current/auditlog").result["events"]
    assert (event["account"], event["who"]) == (account, "CLI (profile token)")


def test_log_goes_with_its_profile(clock, each_store):
    world, other = World(), World()
    for one in (world, other):
        one.admin.put(f"/device/{one.device}", {"name": "Renamed"})
    profile_erasures.begin(profile=world.profile)
    for _ in range(3):
        clock.advance(erasures.SETTLED_S)
        erasures.resume()
        profile_erasures.resume()
    assert each_store.list(names.audit(world.profile), "") == []
    assert len(each_store.list(names.audit(other.profile), "")) == 1


def test_subject_is_an_id_of_the_path_or_the_result_and_never_a_secret():
    secret = "0123456789abcdef01234567"
    assert audit.subject({"token": secret, "email": secret}, None) == ""
    assert audit.subject({"profile_id": "current", "device_id": "a" * 24}, None) == "a" * 24
    assert audit.subject({}, {"token": f"p-{secret}", "id": "b" * 24}) == "b" * 24
    assert audit.subject({}, "text") == audit.subject({"device_id": secret + "0"}, [secret]) == ""


def test_resource_of_each_kind_of_path():
    names_of = {
        "/am/{am_id}": "am", "/run/users/{user_id}": "runuser", "/integration/network/{id}": "network",
        "/integration/connector": "connector", "/account": "account", "/serviceauth": "profile", "/scratch": "scratch",
        "/profile/{profile_id}/token": "profile", "/analysis/{analysis_id}": "analysis",
    }  # fmt: skip
    assert {path: audit.resource_of(path) for path in names_of} == names_of
    assert audit.resource_of("/profile/{profile_id}/auditlog") is None


def test_own_profile_and_account_are_named_without_an_id(each_store):
    account = "c" * 24
    for resource in ("profile", "account"):
        change = audit.Change(audit.new_name(), CALLER._replace(account=account), resource, "m", "")
        with audit.recording(change, ""):
            pass
    docs = [entity.doc for entity in each_store.list(names.audit(CALLER.profile), "")]
    assert {doc["resource"]: doc["resource_id"] for doc in docs} == {"profile": CALLER.profile, "account": account}


def test_events_hold_no_body_and_no_token(world):
    world.admin.post(
        "/device", {"name": "canary1", "description": "canary2", "tags": [{"key": "canary3", "value": "canary4"}]}
    )
    token = world.admin.post("/device/token", {"device": world.device, "name": "canary5", "permission": "full"}).result[
        "token"
    ]
    world.admin.delete(f"/device/token/{token}")
    text = json.dumps(log(world))
    assert "canary" not in text and token not in text and world.profile_token[2:] not in text


def test_what_an_account_does_without_a_token_is_recorded(clock, each_store):
    mails, owner, member = Mails(), Person("o@x.org"), Person("m@x.org")
    sent = {"email": owner.email, "password": PASSWORD, "profile_id": owner.profile, "name": "n"}
    token = owner.anonymous.post("/account/profile/token", sent).result["token"]
    admin = Api(token)
    clock.advance(1)
    admin.post("/profile/current/team", {"email": member.email})
    clock.advance(1)
    assert owner.anonymous.get(f"/profile/team/accept/{mails.token()}").status == 200
    clock.advance(1)
    assert owner.anonymous.get(f"/account/passwordreset/{owner.email}").status == 200
    reset = {"password": "another-password"}
    assert Api(mails.token()).post("/account/passwordreset", reset).status == 200
    found = Api(owner.owner_token).get(f"/profile/{owner.profile}/auditlog").result["events"]
    assert [(event["message"], event["who"]) for event in found] == [
        ("Change the password of an account", "o@x.org (account)"),
        ("Join the team", "m@x.org (account)"),
        ("Invite an account to a profile's team", "n (profile token)"),
        ("Create a token by e-mail and password", "o@x.org (account)"),
    ]
    assert all(event["address"] for event in found)


def test_login_as_a_run_user_is_recorded(world):
    user = RunUser(world)
    world.admin.get(f"/run/users/{user.id}/login")
    assert events(world)[0][1] == user.id
