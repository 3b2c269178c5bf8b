"""/integration/connector and /integration/network: those of a profile, and the catalogue."""

import base64
import gzip
import json

import pytest

from chalicelib import store
from chalicelib.host import cache
from chalicelib.schemas import integrations as schema
from chalicelib.services.devices import catalogue, integrations
from chalicelib.services.usage import limits, resources
from chalicelib.store import names
from tests.kit.governed import Analysis, policy, rule
from tests.kit.world import World

DECODER = base64.b64encode(b"payload = [];").decode()
PARAMETER = {
    "name": "unit",
    "label": "Unit",
    "type": "dropdown",
    "default": "C",
    "group": "main",
    "options": ["C", "F"],
}
RULE = {
    "mask": "FF-FF",
    "label": "EUI",
    "image": "https://x/i.png",
    "case": "upper",
    "help": "On the box",
    "required": True,
}
CONNECTOR = {
    "name": "Sensor", "description": "d", "logo_url": "https://x/l.png", "networks": [catalogue.HTTPS_NETWORK, "a" * 24],
    "device_parameters": [PARAMETER], "payload_decoder": DECODER, "payload_encoder": "x", "install_text": "i",
    "install_end_text": "e", "device_annotation": "a",
}  # fmt: skip
NETWORK = {
    "name": "Radio", "description": "d", "logo_url": "l", "icon_url": "i", "banner_url": "b", "payload_encoder": "x",
    "device_parameters": [PARAMETER], "middleware_endpoint": "middleware.example.org", "payload_decoder": DECODER,
    "public": True, "documentation_url": "u", "serial_number": RULE, "require_devices_access": True,
}  # fmt: skip
NOUNS = {"connector": CONNECTOR, "network": NETWORK}
BUILT_IN = {"connector": catalogue.HTTPS_CONNECTOR, "network": catalogue.HTTPS_NETWORK}
SHORT = {"connector": {"name": "N", "networks": ["a" * 24]}, "network": {"name": "N"}}
both = pytest.mark.parametrize("noun", NOUNS)


def create(world, noun, **more):
    return world.admin.post(f"/integration/{noun}/", {**SHORT[noun], **more}).result[noun]


def own(world, noun, **query):
    return world.admin.get(f"/integration/{noun}/", query={"filter[public]": "true", **query}).result


@both
def test_creation_and_info(clock, world, noun):
    created = world.admin.post(f"/integration/{noun}/", {**NOUNS[noun], "id": "x", "profile": "x", "other": 1}).result
    assert created.keys() == {noun}
    path, now = f"/integration/{noun}/{created[noun]}", "2026-09-21T14:13:20.000Z"
    stored = {
        "public": False,
        **NOUNS[noun],
        "id": created[noun],
        "profile": world.profile,
        "created_at": now,
        "updated_at": now,
    }
    assert world.admin.get(path).result == stored
    assert world.admin.get(path + "?fields=id,name").result == {"id": created[noun], "name": stored["name"]}
    shown = world.admin.get(path + "?fields[]=payload_decoder&fields[]=profile").result
    assert shown == {name: stored[name] for name in ("id", "payload_decoder", "profile")}
    assert "fields" in world.admin.get(path + "?fields=secret").message


@both
def test_what_is_not_sent_is_null(world, noun):
    shown = world.admin.get(f"/integration/{noun}/{create(world, noun)}").result
    assert shown.keys() == {"created_at", "updated_at", "id", "profile", "public", *NOUNS[noun]}
    empty = {name: value for name, value in shown.items() if not value}
    assert empty.keys() == NOUNS[noun].keys() - {"name", "networks"} | {"public"}
    lists = {"device_parameters": [], "public": False, "require_devices_access": False}
    assert empty == {name: lists.get(name) for name in empty}


@both
def test_list_has_the_catalogue_unless_it_is_filtered_out(clock, world, noun):
    ids = {}
    for name in ("Zeta", "alpha"):
        ids[name] = create(world, noun, name=name)
        clock.advance(60)
    rows = world.admin.get(f"/integration/{noun}", query={"amount": 100}).result
    built_in = [{"id": doc["id"], "name": doc["name"]} for doc in getattr(catalogue, f"{noun}s".upper()).values()]
    assert rows[0] == {"id": ids["alpha"], "name": "alpha"} and {"id": ids["Zeta"], "name": "Zeta"} in rows
    assert len(rows) == len(built_in) + 2 and all(row in rows for row in built_in)
    assert rows == sorted(rows, key=lambda row: row["name"].casefold())
    for text in ("true", "false"):
        assert [row["name"] for row in own(world, noun, **{"filter[public]": text})] == ["alpha", "Zeta"]
    assert [row["name"] for row in own(world, noun, orderBy="created_at,desc", amount=1, page=2)] == ["Zeta"]
    assert own(world, noun, **{"filter[name]": "al*"}, fields=["description", "public"]) == [
        {"id": ids["alpha"], "description": None, "public": False}
    ]
    public = world.admin.get(f"/integration/{noun}", query={"fields": "public", "filter[id]": BUILT_IN[noun]}).result
    assert public == [{"id": BUILT_IN[noun], "public": True}]


@both
def test_edit_and_delete(clock, world, noun):
    made = create(world, noun)
    path, changes = (
        f"/integration/{noun}/{made}",
        {name: value for name, value in NOUNS[noun].items() if name != "name"},
    )
    clock.advance(60)
    assert world.admin.put(path, {**changes, "id": "x", "created_at": "2000-01-01"}).result == (
        f"{noun.title()} Successfully Updated"
    )
    shown = world.admin.get(path).result
    assert shown["name"] == "N" and {name: shown[name] for name in changes} == changes and shown["id"] == made
    assert (shown["created_at"], shown["updated_at"]) == ("2026-09-21T14:13:20.000Z", "2026-09-21T14:14:20.000Z")
    assert world.admin.put(path, {"device_parameters": None, "payload_decoder": None}).status == 200
    assert world.admin.get(path + "?fields=device_parameters").result["device_parameters"] == []
    gone = {"connector": "Connector Successfully Deleted", "network": "Successfully Removed"}[noun]
    assert world.admin.delete(path).result == gone
    for answer in (world.admin.get(path), world.admin.put(path, {"name": "O"}), world.admin.delete(path)):
        assert (answer.status, answer.message) == (404, f"{noun.title()} not found")
    assert own(world, noun) == []


@both
def test_the_catalogue_can_be_read_and_not_changed(world, noun):
    path = f"/integration/{noun}/{BUILT_IN[noun]}"
    shown = world.admin.get(path).result
    assert shown.keys() == {"created_at", "updated_at", "id", "profile", "public", *NOUNS[noun]}
    assert (shown["name"], shown["public"], shown["profile"]) == ("Custom HTTPS", True, None)
    for answer in (world.admin.put(path, {"name": "Mine"}), world.admin.delete(path)):
        assert (answer.status, answer.message) == (401, "Authorization Denied")
    assert World().admin.get(path).result == shown


WRONG = [
    ("name", ""), ("name", "x" * 256), ("name", None), ("description", "x" * 501), ("payload_decoder", "%"),
    ("payload_decoder", base64.b64encode(b"x" * 65_537).decode()), ("device_parameters", [{}]), ("device_parameters", {}),
    ("device_parameters", [{"name": "a", "type": "slider"}]), ("device_parameters", [{"name": "a", "group": "other"}]),
    ("device_parameters", [{"name": "a"}] * 61), ("device_parameters", [{"name": "a", "default": 2**70}]), ("logo_url", 5),
]  # fmt: skip
WRONG_BY_NOUN = [
    *[(noun, *case) for noun in NOUNS for case in WRONG], ("connector", "networks", []), ("connector", "networks", ["x"]),
    ("connector", "networks", None), ("connector", "networks", ["a" * 24] * 201), ("network", "public", "yes"),
    ("network", "serial_number", {"mask": "XX"}), ("network", "serial_number", {"mask": "--"}),
    ("network", "serial_number", {"case": "title"}), ("network", "require_devices_access", 1),
]  # fmt: skip


@pytest.mark.parametrize(("noun", "field", "value"), WRONG_BY_NOUN)
def test_wrong_bodies(sqlite, noun, field, value):
    world = World()
    answer = world.admin.post(f"/integration/{noun}", {**SHORT[noun], field: value})
    assert [*answer.body["field_errors"]] == [field] and answer.message.count(field) <= 1
    made = create(world, noun)
    assert [*world.admin.put(f"/integration/{noun}/{made}", {field: value}).body["field_errors"]] == [field]


def test_messages_of_refused_bodies(sqlite):
    world = World()
    ask = lambda noun, **sent: world.admin.post(f"/integration/{noun}", {**SHORT[noun], **sent}).message  # noqa: E731
    large = base64.b64encode(b"x" * 65_537).decode()
    assert ask("connector", payload_decoder=large) == "Not permitted to use function parse with more than 64kb"
    assert ask("connector", payload_decoder="%") == "payload_decoder must be base64"
    assert ask("network", serial_number={"mask": "XX"}) == (
        "serial_number mask must be made of F (a hex digit), A (a letter), 0 (a digit), P (a letter or digit) and -"
    )
    for noun, needed in (("connector", {"name", "networks"}), ("network", {"name"})):
        assert {*world.admin.post(f"/integration/{noun}", {}).body["field_errors"]} == needed


@both
def test_no_document_becomes_so_large_that_the_store_refuses_it(configure, world, noun):
    made = create(world, noun)
    path, large = f"/integration/{noun}/{made}", base64.b64encode(b"x" * 65_536).decode()
    assert world.admin.put(path, {"payload_decoder": large}).status == 200
    assert world.admin.put(path, {"payload_encoder": "x" * 90_000}).status == 200
    texts = [{"name": f"p{index}", "default": "x" * 500} for index in range(60)]
    answer = world.admin.put(path, {"device_parameters": texts})
    assert answer.status == 400 and "at most 200000 bytes" in answer.message
    assert world.admin.get(path).result["device_parameters"] == []
    configure(max_inflated_bytes=2_000_000)
    body = gzip.compress(
        json.dumps({**SHORT[noun], "device_parameters": [{"name": "a", "default": "x" * 500_000}]}).encode()
    )
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    sent = base64.b64encode(body).decode()
    answer = world.admin("POST", f"/integration/{noun}", raw=sent, base64=True, headers=headers)
    assert answer.status == 400 and "at most 200000 bytes" in answer.message
    assert [row["id"] for row in own(world, noun)] == [made]


@both
def test_plan_limits(configure, world, noun):
    configure(plans=json.dumps({"own": {"resources": {f"{noun}s": 1}}}))
    limits.change(world.profile, plan="own")
    made = create(world, noun)
    refused = world.admin.post(f"/integration/{noun}", SHORT[noun])
    assert refused.status == 402 and refused.message == (
        f"You have exceeded the maximum limit of {noun.title()} (1). Please upgrade you plan or contact support."
    )
    assert resources.amounts(profile=world.profile)[f"{noun}s"] == 1
    assert world.admin.get("/profile/current/summary").result["amount"][f"{noun}s"] == 1
    world.admin.delete(f"/integration/{noun}/{made}")
    assert world.admin.post(f"/integration/{noun}", SHORT[noun]).status == 200


@both
def test_another_profile_sees_nothing_of_them(world, noun):
    other, made = World(), create(world, noun)
    assert own(other, noun) == [] and resources.amounts(profile=other.profile)[f"{noun}s"] == 0
    path = f"/integration/{noun}/{made}"
    for answer in (other.admin.get(path), other.admin.put(path, {"name": "O"}), other.admin.delete(path)):
        assert (answer.status, answer.message) == (404, f"{noun.title()} not found")
    assert world.admin.get(path).result["name"] == "N"


@both
def test_an_analysis_reads_what_policies_allow_and_changes_nothing(world, noun):
    analysis, made, hidden = Analysis(world), create(world, noun, name="Mine"), create(world, noun, name="Hidden")
    path = f"/integration/{noun}/{made}"
    assert analysis.api.get(f"/integration/{noun}").result == [] and analysis.api.get(path).status == 401
    allowed = policy(world, rule("allow", "access", noun, "id", made))
    cache.clear_all()
    assert [row["id"] for row in analysis.api.get(f"/integration/{noun}").result] == [made]
    assert analysis.api.get(path).result["name"] == "Mine"
    for doc_id in (hidden, BUILT_IN[noun], "a" * 24):
        assert analysis.api.get(f"/integration/{noun}/{doc_id}").status == 401
    world.admin.put(f"/am/{allowed}", {"permissions": [rule("allow", "access", noun)]})
    cache.clear_all()
    assert {made, hidden, BUILT_IN[noun]} <= {row["id"] for row in analysis.api.get(f"/integration/{noun}").result}
    assert analysis.api.get(f"/integration/{noun}/{BUILT_IN[noun]}").result["name"] == "Custom HTTPS"
    assert analysis.api.put(path, {"name": "O"}).status == analysis.api.delete(path).status == 401
    assert analysis.api.post(f"/integration/{noun}", SHORT[noun]).status == 401


def test_the_end_of_a_network_ends_its_tokens_first(world, monkeypatch):
    made, ended = create(world, "network"), []

    def note(*, owner):
        ended.append((owner, len(own(world, "network"))))

    monkeypatch.setattr(integrations.tokens, "delete_all", note)
    assert world.admin.delete(f"/integration/network/{made}").status == 200
    assert ended == [(f"network#{made}", 1)]
    assert world.admin.delete(f"/integration/network/{BUILT_IN['network']}").status == 401 and len(ended) == 1


@both
def test_changes_are_audited(clock, world, noun):
    made = create(world, noun)
    clock.advance(1)
    world.admin.put(f"/integration/{noun}/{made}", {"name": "Other"})
    clock.advance(1)
    world.admin.delete(f"/integration/{noun}/{made}")
    events = [entity.doc for entity in store.current().list(names.audit(world.profile), "")]
    assert [(event["resource"], event["resource_id"], event["message"]) for event in events] == [
        (noun, made, f"{verb} a {noun}") for verb in ("Create", "Change", "Delete")
    ]


def test_fields_of_lists_are_those_of_objects():
    for noun, shape in (("connector", schema.CONNECTORS), ("network", schema.NETWORKS)):
        assert {*shape.fields} == {"id", "profile", "public", "created_at", "updated_at", *NOUNS[noun]}
