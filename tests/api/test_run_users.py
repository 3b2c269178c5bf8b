"""/run/users: run users, their tokens, and what they may see."""

import pytest

from chalicelib import routes, store
from chalicelib.host import clock as host_clock
from chalicelib.http.route import RUN_USER
from chalicelib.services.access import passwords, run_users
from chalicelib.store import names
from tests.kit.api import Api
from tests.kit.governed import RunUser, device, policy, rule, tagged
from tests.kit.world import World, point

SENT = {"name": "Ann", "email": " Ann@Example.org ", "password": "secret"}


def test_creation_and_info(clock, world):
    made = world.admin.post("/run/users", {**SENT, "phone": "1", "id": "x", "last_login": 5}).result
    assert made.keys() == {"user"}
    assert world.admin.get(f"/run/users/{made['user']}").result == {
        "id": made["user"], "profile": world.profile, "name": "Ann", "email": "Ann@Example.org", "timezone": "UTC",
        "company": None, "phone": "1", "language": None, "newsletter": False, "active": False, "tags": [],
        "options": None, "custom_preferences": None, "force_password_change": False, "last_login": None,
        "created_at": "2026-09-21T14:13:20.000Z", "updated_at": "2026-09-21T14:13:20.000Z",
    }  # fmt: skip


def test_the_password_is_kept_only_as_a_hash(world):
    made = world.admin.post("/run/users", SENT).result["user"]

    def stored():
        return run_users.get_or_raise(profile=world.profile, user=made, is_fresh=True)["password"]

    assert stored().startswith("$argon2id$") and passwords.matches("secret", stored())
    assert world.admin.put(f"/run/users/{made}", {"password": "another"}).status == 200
    assert passwords.matches("another", stored())
    for path in ("/run/users", f"/run/users/{made}"):
        assert "argon2" not in world.admin.get(path).text and "password" not in world.admin.get(path).result


def test_an_address_belongs_to_one_run_user_of_the_profile(world):
    made = world.admin.post("/run/users", SENT).result["user"]
    for email in ("ann@example.org", "ANN@example.org", "\uff21nn@example.org"):
        assert [*world.admin.post("/run/users", {**SENT, "email": email}).body["field_errors"]] == ["email"]
    assert World().admin.post("/run/users", SENT).status == 200
    assert world.admin.put(f"/run/users/{made}", {"email": "b@example.org"}).status == 200  # ignored
    assert world.admin.get(f"/run/users/{made}").result["email"] == "Ann@Example.org"
    assert world.admin.delete(f"/run/users/{made}").result == "Successfully Removed"
    assert world.admin.get(f"/run/users/{made}").message == "Run user not found"
    assert world.admin.post("/run/users", SENT).status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "x"), ("email", "@x"), ("email", "x@"), ("email", "a@b@c"), ("password", "12345"), ("name", ""),
        ("options", {"a": 2**70}), ("tags", [{"key": "a"}]), ("timezone", ""),
    ],
)  # fmt: skip
def test_wrong_bodies(world, field, value):
    answer = world.admin.post("/run/users", {**SENT, field: value})
    assert [*answer.body["field_errors"]] == [field] and "secret" not in answer.text
    assert world.admin.get("/run/users").result == []


def test_list(world):
    world.admin.post("/run/users", {**SENT, "name": "B"})
    second = RunUser(world, name="A").id
    assert [row["name"] for row in world.admin.get("/run/users").result] == ["A", "B"]
    rows = world.admin.get("/run/users?filter[active]=true&fields=email").result
    assert rows == [{"id": second, "email": "user@example.org"}]


def test_login(clock, world):
    user = RunUser(world)
    shown = world.admin.get(f"/run/users/{user.id}/login?expire_time=3 month").result
    token = shown.pop("token")
    assert token.startswith("u-") and shown == {
        "name": "Login as run user", "run_user": user.id, "expire_time": "2026-12-21T14:13:20.000Z",
        "expire_date": "2026-12-21T14:13:20.000Z", "created_at": "2026-09-21T14:13:20.000Z",
    }  # fmt: skip
    assert Api(token).get("/info").result["email"] == "user@example.org"
    assert world.admin.get(f"/run/users/{user.id}/login").result["expire_time"] == "2026-09-21T22:13:20.000Z"
    for span in ("4 month", "never", "2030-01-01", "soon"):
        answer = world.admin.get(f"/run/users/{user.id}/login", query={"expire_time": span})
        assert [*answer.body["field_errors"]] == ["expire_time"]
    clock.advance(8 * 3600 + 1)
    assert user.api.get("/info").status == 401 and Api(token).get("/info").status == 200


def test_tokens_of_logins_leave_the_store_when_they_end(clock, world):
    user = RunUser(world)
    (listed,) = store.current().list(names.run_user(user.id), names.TOKENS)
    assert listed.expires_at == host_clock.now_ms() // 1000 + 8 * 3600
    assert store.current().get(listed.name, names.TOKEN).expires_at == listed.expires_at


@pytest.mark.parametrize("change", [{"logout_sessions": True}, {"password": "another"}, {"active": False}])
def test_sessions_end(world, change):
    user = RunUser(world)
    assert user.api.get("/info").status == 200
    world.admin.put(f"/run/users/{user.id}", {"name": "Same sessions"})
    assert user.api.get("/info").status == 200
    assert world.admin.put(f"/run/users/{user.id}", change).result == "TagoIO Run User Successfully Updated"
    assert user.api.get("/info").status == 401
    is_inactive = "active" in change
    assert world.admin.get(f"/run/users/{user.id}/login").status == (400 if is_inactive else 200)


def test_access_to_a_device_opens_it_with_its_data_and_nothing_else(world):
    user, other = RunUser(world), device(world)
    world.send(point("a", 1))
    policy(world, rule("allow", "access", "device", "id", world.device), targets=[["run_user"]])
    assert [row["id"] for row in user.api.get("/device").result] == [world.device]
    assert user.api.get(f"/device/{world.device}").result["id"] == world.device
    assert [one["value"] for one in user.api.get(f"/device/{world.device}/data").result] == [1]
    assert user.api.get(f"/device/{other}").status == user.api.get(f"/device/{other}/data").status == 401
    opened = {(row.method, row.path) for row in routes.ALL if RUN_USER in row.who}
    assert opened == {("GET", path) for path in ("/info", "/device", "/device/{device_id}", "/device/{device_id}/data")}
    for path in ("params", "data_amount", "chunk"):
        assert user.api.get(f"/device/{world.device}/{path}").status == 401


def test_9_what_is_not_in_the_catalogue_of_run_users_gives_them_nothing(world):
    user = RunUser(world)
    policy(world, rule("allow", "get_data", "device"), targets=[["analysis"], ["run_user"]])
    assert user.api.get(f"/device/{world.device}/data").status == 401
    assert user.api.get("/device").result == []


def test_a_run_user_without_policies_sees_empty_lists(world):
    user = RunUser(world)
    assert user.api.get("/device").result == []
    assert user.api.get(f"/device/{world.device}").status == 401


def test_tags_of_run_users_choose_their_devices(world):
    user = RunUser(world, tags=("site=A",))
    mine = device(world, "site=A")
    device(world, "site=B")
    policy(world, rule("allow", "access", "device", "tag_match", "site"), targets=[["run_user", "tag_match", "site"]])
    assert [row["id"] for row in user.api.get("/device").result] == [mine]
    world.admin.put(f"/run/users/{user.id}", {"tags": tagged("site=C")})
    assert user.api.get("/device").result == []
