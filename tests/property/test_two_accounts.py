"""Random histories of two accounts with three profiles: each sees exactly what a plain model of its own says."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import accounts, profiles
from tests.kit.api import Api
from tests.kit.tables import empty_tables

NUMBER = st.integers(0, 50)
NAMES = st.sampled_from(["Pump", "Valve", "Meter"])
KEYS = st.sampled_from(["site", "Line", "unit"])


class Profile:
    """What the model knows of a profile."""

    def __init__(self, account):
        self.account = account
        self.id, _ = profiles.create(name="Profile", account=account)
        giver = Caller("profile", self.id, "", "full", None, "0" * 64, account)
        self.tokens = {
            permission: tokens.create(
                kind="profile", profile=self.id, sent={"name": "t", "permission": permission}, giver=giver
            )["token"]
            for permission in ("full", "write", "read")
        }
        self.events = []


class Device:
    """What the model knows of a device."""

    def __init__(self, profile, device_id, token, name, key):
        self.profile, self.id, self.name, self.key = profile, device_id, name, key
        self.tokens = [token]
        self.values = []


class Tenants(RuleBasedStateMachine):
    """Callers of all profiles name devices of all profiles."""

    def __init__(self):
        super().__init__()
        first, second = (accounts.create(name="Name", email=email, password_hash="x") for email in ("a@x", "b@x"))
        self.profiles = [Profile(first), Profile(first), Profile(second)]
        self.devices, self.gone = [], []

    def caller(self, number):
        """Return a profile, one of its permissions, and its API."""
        profile = self.profiles[number % 3]
        permission = ("full", "full", "write", "read")[number // 3 % 4]
        return profile, permission, Api(profile.tokens[permission])

    def try_to(self, number, place, need, method, path, body, message):
        """Send a request about any device; return the device if the model says that it must have succeeded."""
        profile, permission, api = self.caller(number)
        known = [*self.devices, *self.gone]
        device = known[place % len(known)]
        answer = api(method, path.format(device.id), json_body=body)
        if permission not in ("full", need):
            assert answer.status == 401
        elif device.profile is not profile or device in self.gone:
            assert (answer.status, answer.message) == (404, "Device not found")
        else:
            assert answer.status == 200, answer.text
            if message:
                profile.events.append((message, device.id))
            return device, answer.result
        return None, None

    @rule(number=NUMBER, name=NAMES, key=KEYS)
    def create(self, number, name, key):
        profile, permission, api = self.caller(number)
        answer = api.post("/device", {"name": name, "tags": [{"key": key, "value": "v"}]})
        if permission == "read":
            assert answer.status == 401
            return
        made = answer.result
        self.devices.append(Device(profile, made["device_id"], made["token"], name, key))
        profile.events.append(("Create a device", made["device_id"]))

    @precondition(lambda self: self.devices or self.gone)
    @rule(number=NUMBER, place=NUMBER, name=NAMES)
    def rename(self, number, place, name):
        device, _ = self.try_to(number, place, "write", "PUT", "/device/{}", {"name": name}, "Change a device")
        if device:
            device.name = name

    @precondition(lambda self: self.devices or self.gone)
    @rule(number=NUMBER, place=NUMBER)
    def remove(self, number, place):
        device, _ = self.try_to(number, place, "full", "DELETE", "/device/{}", None, "Delete a device and all it has")
        if device:
            self.devices.remove(device)
            self.gone.append(device)

    @precondition(lambda self: self.devices or self.gone)
    @rule(number=NUMBER, place=NUMBER)
    def read(self, number, place):
        device, result = self.try_to(number, place, "read", "GET", "/device/{}/data?qty=1000", None, None)
        if device:
            assert sorted(one["value"] for one in result) == sorted(device.values)

    @precondition(lambda self: self.devices)
    @rule(number=NUMBER, place=NUMBER)
    def give_a_token(self, number, place):
        profile, permission, api = self.caller(number)
        device = self.devices[place % len(self.devices)]
        answer = api.post("/device/token", {"device": device.id, "name": "t", "permission": "write"})
        if permission == "read" or device.profile is not profile:
            assert answer.status == (401 if permission == "read" else 404)
            return
        device.tokens.append(answer.result["token"])
        profile.events.append(("Create a token of a device", device.id))

    @precondition(lambda self: any(device.tokens for device in self.devices))
    @rule(number=NUMBER, place=NUMBER)
    def take_a_token(self, number, place):
        profile, permission, api = self.caller(number)
        held = [(device, token) for device in self.devices for token in device.tokens]
        device, token = held[place % len(held)]
        answer = api.delete(f"/device/token/{token}")
        if permission != "full" or device.profile is not profile:
            assert answer.status == (401 if permission != "full" else 404)
            return
        assert answer.status == 200
        device.tokens.remove(token)
        profile.events.append(("Delete a token", device.id))
        assert Api(token).post("/data", {"variable": "v", "value": 1}).status == 401

    @precondition(lambda self: any(device.tokens for device in self.devices))
    @rule(place=NUMBER, value=NUMBER)
    def send(self, place, value):
        device = [one for one in self.devices if one.tokens][place % len([one for one in self.devices if one.tokens])]
        assert Api(device.tokens[-1]).post("/data", {"variable": "v", "value": value}).result == "1 Data Added"
        device.values.append(value)

    @precondition(lambda self: self.gone)
    @rule(place=NUMBER)
    def send_as_a_deleted_device(self, place):
        for token in self.gone[place % len(self.gone)].tokens:
            assert Api(token).post("/data", {"variable": "v", "value": 1}).status == 401

    def teardown(self):
        """Compare all that each profile can read with the model."""
        for profile in self.profiles:
            api = Api(profile.tokens["full"])
            own = [device for device in self.devices if device.profile is profile]
            listed = api.get("/device", query={"fields": "id,name", "amount": 1000}).result
            assert {(one["id"], one["name"]) for one in listed} == {(device.id, device.name) for device in own}
            assert api.get("/tags/keys/device").result == sorted({device.key for device in own})
            for device in own:
                points = api.get(f"/device/{device.id}/data", query={"qty": 1000}).result
                assert sorted(one["value"] for one in points) == sorted(device.values)
            for reader in self.profiles:
                answer = Api(reader.tokens["full"]).get(f"/profile/{profile.id}/auditlog", query={"limit": 1000})
                if reader.account != profile.account:
                    assert (answer.status, answer.message) == (404, "Profile not found")
                    continue
                told = [(event["message"], event["resourceID"]) for event in answer.result["events"]]
                assert sorted(told) == sorted(profile.events)


def test_each_profile_sees_exactly_its_own(each_store):
    def empty_store():
        if each_store.is_exclusive:
            each_store._db.execute("DELETE FROM entities")
        empty_tables()

    class OnThisStore(Tenants):
        def __init__(self):
            empty_store()
            super().__init__()

    examples, steps = (25, 30) if each_store.is_exclusive else (3, 15)
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    quick = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(OnThisStore, settings=quick)
