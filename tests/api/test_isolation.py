"""Profiles are kept apart: every route, under every kind of token, with every object of another profile.

The combinations are made from the route table. A new row needs an example in ``test_routes``: an object for each
parameter of its path in ``things_of``, and a body in ``BODIES``. Nothing else: without it, a test here fails.
"""

import dataclasses
import itertools
import json
import random
import re
import uuid

import pytest

from chalicelib import routes, settings
from chalicelib.codec import keys
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import profiles
from chalicelib.services.devices.network_tokens import CREATE_DEVICE
from chalicelib.store.models import EntityModel, SegmentModel
from tests.api.test_routes import BODIES, body_of, things_of
from tests.kit.accounts import Mails
from tests.kit.api import Api
from tests.kit.billing import counting
from tests.kit.faults import client
from tests.kit.networks import Network, authorization
from tests.kit.world import World, values

NEUTRAL = {"type", "tagged", "serial", "query_id", "chunk_id", "addon", "email", "authorization", "name"}
"""Parameters of paths that name no object of a profile: words, a file, what is looked for below another parameter, and the text
of a service authorization, which opens its profile to who has it."""
MORE_BODIES = {
    "POST /action": lambda things: BODIES["/action"] | {"trigger": [{"device": things["device_id"], "topic": "t"}]},
    "PUT /action/{action_id}": lambda things: {"trigger": [{"device": things["device_id"], "topic": "t"}]},
}  # fmt: skip
"""Bodies that name an object, of rows whose example in ``test_routes`` names none."""
BAD_REQUESTS = {"POST /action", "PUT /action/{action_id}"}
"""Rows that answer 400 if the body names an object that the profile does not have. Their notes say so."""
PERMISSIONS = ("full", "write", "read")
UNKNOWN_TOKEN = "00000000-0000-4000-8000-000000000000"


class Side:
    """A profile with one object of each kind, owned by an account of its own."""

    def __init__(self, email):
        self.world = World()
        self.things = things_of(self.world, email)
        self.account = profiles.owner_of(self.world.profile)
        self.things["account_id"] = self.account
        self.giver = Caller("profile", self.world.profile, "", "full", None, "0" * 64, str(self.account))
        self.things["token"] = self.token("profile")

    def token(self, kind, permission="full", **sent):
        """Return a new token of the profile."""
        subjects = {"device": self.world.device, "analysis": keys.new_id(), "run_user": keys.new_id()}
        subject = (subjects | {"network": self.things["network_id"]}).get(kind, "")
        sent = {"name": "t", "permission": permission, **sent}
        more = {CREATE_DEVICE: True} if kind == "network" else None
        made = tokens.create(
            kind=kind, profile=self.world.profile, subject=subject, sent=sent, giver=self.giver, more=more
        )
        return made["token"]

    def tokens(self):
        """Return a token of each kind and permission, by name, and some that are refused."""
        made = {
            f"{kind} {permission}": self.token(kind, permission)
            for kind in ("profile", "device", "analysis", "run_user", "service", "network")
            for permission in PERMISSIONS
        }
        return made | self.dead_tokens()

    def dead_tokens(self):
        """Return an expired and a deleted token of a profile and a device."""
        dead = {f"expired {kind}": self.token(kind, expire_time="2020-01-01") for kind in ("profile", "device")}
        dead["deleted device"] = self.token("device")
        tokens.delete(profile=self.world.profile, text=dead["deleted device"])
        return dead

    @property
    def names(self):
        """Every id and token text of the profile."""
        things = [text for name, text in self.things.items() if name not in NEUTRAL]
        return {
            *things,
            self.world.profile,
            self.world.device,
            self.world.token,
            self.world.profile_token,
            self.account,
        }


class Scene:
    """A victim, and somebody else with tokens."""

    def __init__(self):
        settings.use(dataclasses.replace(settings.current(), profile_may_send=True, sign_up="open"))
        Mails()
        self.victim, self.other = Side("victim@localhost"), Side("a@x.org")
        self.victims_dead = {f"victim's {name}": text for name, text in self.victim.dead_tokens().items()}
        """Tokens of the victim that work no more. Nobody may do anything with them."""
        self.answers = {}
        """The answers to requests with unknown names; see ``check``."""
        self.callers = self.other.tokens() | self.victims_dead | {"none": None, "unknown": UNKNOWN_TOKEN}

    def requests(self, row):
        """Yield path and body of each request of a row that names objects of the victim."""
        places = [name for name in re.findall(r"{(\w+)}", row.path) if name not in NEUTRAL]
        bodies = [body for body in self.bodies(row) if any(name in json.dumps(body) for name in self.victim.names)]
        beside = (self.other.things, self.victim.things) if len(places) > 1 else (self.other.things,)
        for place, rest, text in itertools.product(places, beside, sorted(self.victim.names)):
            yield row.path.format(**{**rest, place: text}), body_of(row, self.other.things)
        for body in bodies:
            yield row.path.format(**self.other.things), body

    def bodies(self, row):
        """Yield the bodies of a row with the victim's objects."""
        more = MORE_BODIES.get(name_of(row))
        yield from (body for body in (body_of(row, self.victim.things), more and more(self.victim.things)) if body)

    def masked(self, sent):
        """Return a path or body as text, with a word for each name of the victim."""
        text = json.dumps(sent)
        for name in self.victim.names:
            text = text.replace(name, "<id>" if keys.is_id(name) else "<token>")
        return text

    def unknown(self, sent):
        """Return a path or body with an id that nobody has, or a token, for each name of the victim."""
        text = json.dumps(sent)
        for name in self.victim.names:
            text = text.replace(name, keys.new_id() if keys.is_id(name) else str(uuid.uuid4()))
        return json.loads(text)


def name_of(row):
    return f"{row.method} {row.path}"


def shown(answer, path, body):
    """Return an answer without what the request itself named."""
    text = answer.text
    for name in {*path.split("/"), *re.findall(r"[0-9a-f-]{24,}", json.dumps(body))}:
        text = text.replace(name, "…") if len(name) >= 24 else text
    return answer.status, text, sorted(answer.headers.items())


def check(scene, row, caller, path, body, ask=None):
    """Send a request that names an object of the victim; return the status. It must be that for an unknown object.

    The answer for an unknown object is asked for once for each caller, place and kind of name.
    """
    ask = ask or Api(scene.callers[caller])
    kind = (name_of(row), caller, scene.masked(path), scene.masked(body))
    if kind not in scene.answers or isinstance(ask, Counted):
        unknown_path, unknown_body = scene.unknown(path), scene.unknown(body)
        unknown = ask(row.method, unknown_path, json_body=unknown_body)
        scene.answers[kind] = shown(unknown, unknown_path, unknown_body)
    answer = ask(row.method, path, json_body=body)
    where = f"{caller}: {row.method} {path} {body}: {answer.text}"
    assert answer.status in (401, 404) or (answer.status == 400 and name_of(row) in BAD_REQUESTS), where
    assert shown(answer, path, body) == scene.answers[kind], where
    if caller in scene.victims_dead or caller in ("none", "unknown") or "expired" in caller or "deleted" in caller:
        assert answer.status == 401, where
    return answer.status


class Counted:
    """A caller that counts the calls of DynamoDB for each request."""

    def __init__(self, token):
        self.api, self.calls = Api(token), []

    def __call__(self, *args, **kwargs):
        with counting() as calls:
            answer = self.api(*args, **kwargs)
        self.calls.append(dict(calls))
        return answer


def held(lines, side):
    """Return the lines of a dump that belong to a side or name it."""
    return [line for line in lines if any(name in line for name in side.names)]


def rows_of(backend):
    """Return every row of the store as text."""
    if backend.is_exclusive:
        return [*backend._db.iterdump()]
    scans = [client().scan(TableName=model.Meta.table_name)["Items"] for model in (SegmentModel, EntityModel)]
    return [json.dumps(item, sort_keys=True, default=repr) for items in scans for item in items]


PROTECTED = [row for row in routes.ALL if row.who]


def test_nothing_of_another_profile_can_be_reached_changed_or_recognised(sqlite):
    """Every row × every caller × every object of another profile, in every place of the path and in the body."""
    scene = Scene()
    sent, sqlite.grouped = 0, True  # what is refused writes nothing, so no transaction needs an end
    for row in PROTECTED:
        statuses = set()
        before = held(rows_of(sqlite), scene.victim)
        for path, body in scene.requests(row):
            for caller in scene.callers:
                statuses.add(check(scene, row, caller, path, body))
                sent += 1
        assert held(rows_of(sqlite), scene.victim) == before, f"{name_of(row)} changed another profile"
        if statuses and row.who != ("device",):
            assert statuses & {400, 404}, f"{name_of(row)}: no token of the test may call it"
    sqlite.grouped = False
    assert sent >= 2_000, sent


def test_rows_that_name_no_object_show_and_change_only_the_own_profile(sqlite):
    scene = Scene()
    before = held(rows_of(sqlite), scene.victim)
    for row in sorted(PROTECTED, key=lambda row: row.method == "DELETE"):
        if any(True for _ in scene.requests(row)):
            continue
        path, body = row.path.format(**scene.other.things), body_of(row, scene.other.things)
        for caller, token in scene.callers.items():
            answer = Api(token)(row.method, path, json_body=body)
            assert not [name for name in scene.victim.names if str(name) in answer.text], f"{caller}: {name_of(row)}"
    assert held(rows_of(sqlite), scene.victim) == before


def test_body_cannot_choose_owner_id_or_dates(sqlite):
    """Fields that the server sets are ignored in every body, whatever they hold."""
    scene = Scene()
    fake, date = "feedfeedfeedfeedfeedfeed", "2001-02-03T04:05:06.000Z"
    chosen = {
        "profile": scene.victim.world.profile, "account": scene.victim.account, "subject": scene.victim.world.device,
        "owner": scene.victim.world.profile, "id": fake, "created_at": date, "updated_at": date, "created_ms": 981173106000,
        "kind": "profile", "permissions": "full", "plan": "chosen-plan", "version": 471147114711,
    }  # fmt: skip
    before = held(rows_of(sqlite), scene.victim)
    written = 0
    for row in PROTECTED:
        body = body_of(row, scene.other.things)
        if isinstance(body, dict):
            for caller in ("profile full", "device full"):
                path = row.path.format(**scene.other.things)
                answer = Api(scene.callers[caller])(row.method, path, json_body=body | chosen)
                written += answer.status == 200
    rows = rows_of(sqlite)
    assert written >= 5 and held(rows, scene.victim) == before
    for text in (fake, date, "981173106000", "chosen-plan", "471147114711"):
        assert not [row for row in rows if text in row], text


def test_on_dynamodb_a_sample_is_refused_alike_and_costs_the_same(dynamo):
    """The authorizer runs too. Another's object costs the same calls as an unknown one, so time tells nothing either."""
    scene = Scene()
    combinations = [
        (row, caller, path, body) for row in PROTECTED for path, body in scene.requests(row) for caller in scene.callers
    ]
    able = [combination for combination in combinations if combination[1] == "profile full"]
    chance = random.Random(16)
    before = held(rows_of(dynamo), scene.victim)
    for row, caller, path, body in chance.sample(able, 40) + chance.sample(combinations, 30):
        ask = Counted(scene.callers[caller])
        ask(row.method, scene.unknown(path), json_body=scene.unknown(body))  # it fills the caches
        check(scene, row, caller, path, body, ask)
        assert ask.calls[1] == ask.calls[2], f"{caller}: {row.method} {path}"
    assert held(rows_of(dynamo), scene.victim) == before


def test_a_network_reaches_what_was_shared_with_it_and_nothing_else(each_store):
    """Three profiles, each with a network and an authorization: every network × every authorization × every device."""
    worlds = [World() for _ in range(3)]
    parser = "serial = 'S1'"
    networks = [Network(world, require_devices_access=True, parser=parser) for world in worlds]
    sides = [*itertools.product(range(3), repeat=2)]
    device = {(where, of): networks[of].device("S1", worlds[where]) for where, of in sides}
    givers = [None, *(authorization(world) for world in worlds)]
    for number, network in enumerate(networks):
        for giver, text in enumerate(givers, -1):
            found = network.api.get("/integration/network/resolve/S1" + (f"/{text}" if text else ""))
            assert found.result == device[number if text is None else giver, number][1]
            query = {"authorization_token": text} if text else {}
            value = f"{giver} {number}"
            network.api.post("/integration/network/data", {"variable": "a", "value": value}, query=query)
        for side, (device_id, _) in device.items():
            answers = (
                network.api.post(f"/integration/network/{device_id}/params", {"key": "k", "value": "v"}),
                network.api.post("/integration/network/publish", {"device": device_id, "topic": "t"}),
            )
            assert [one.status for one in answers] == ([200, 400] if side == (number, number) else [404, 404])
        listed = [
            row["id"]
            for one in networks
            if (answer := network.api.get(f"/integration/network/{one.connector}/devices")).status == 200
            for row in answer.result
        ]
        assert listed == [device[number, number][0]]
    for (where, of), (_, token) in device.items():
        expected = [f"{where} {of}", *([f"-1 {of}"] if where == of else [])]
        assert values(Api(token).get("/data").result) == expected, (where, of)


def test_every_parameter_of_a_path_has_an_object(sqlite):
    scene = Scene()
    named = {name for row in routes.ALL for name in re.findall(r"{(\w+)}", row.path)}
    assert named <= scene.victim.things.keys(), "add an object to things_of in test_routes"
    for name in named - NEUTRAL:
        text = scene.victim.things[name]
        assert len(text) >= 24, f"{name} is no id: if it names no object of a profile, add it to NEUTRAL"
        assert text != scene.other.things[name]


def test_a_row_that_forgets_to_check_is_noticed(sqlite, monkeypatch):
    """The tests above would be worth nothing if a service that looks into any profile passed them."""
    from chalicelib.services.devices import devices

    scene = Scene()
    (row,) = [row for row in routes.ALL if name_of(row) == "GET /device/{device_id}"]
    path, body = next(request for request in scene.requests(row) if scene.victim.world.device in request[0])
    check(scene, row, "profile full", path, body)
    doc = scene.victim.world.doc
    monkeypatch.setattr(devices, "info", lambda **_: devices.show(doc))
    with pytest.raises(AssertionError):
        check(scene, row, "profile full", path, body)


def test_ids_cannot_be_guessed():
    """96 random bits, as reliability asks for: no counter, no clock."""
    ids = [keys.new_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000 and all(keys.is_id(one) for one in ids)
    for place in range(24):
        assert len({one[place] for one in ids}) == 16, f"digit {place} is not random"
