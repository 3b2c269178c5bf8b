"""/run/users: people who may see some devices of a profile."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import run_users as schema
from chalicelib.schemas.lists import read_list
from chalicelib.schemas.parameters import one
from chalicelib.services.access import passwords, run_users


def list_users(call: Call) -> Any:
    """List run users."""
    query = read_list(call.query, schema.LIST, clock.now_ms())
    return run_users.list_page(profile=call.profile, query=query, may_see=call.may_see)


def create(call: Call) -> Any:
    """Create a run user."""
    return {"user": run_users.create(profile=call.profile, sent=call.body, password_hash=_hashed(call))}


def info(call: Call) -> Any:
    """Return a run user."""
    return run_users.info(profile=call.profile, user=call.path["user_id"])


def edit(call: Call) -> Any:
    """Change a run user."""
    password_hash = _hashed(call) if "password" in call.body else None
    run_users.edit(profile=call.profile, user=call.path["user_id"], sent=call.body, password_hash=password_hash)
    return "TagoIO Run User Successfully Updated"


def delete(call: Call) -> Any:
    """Delete a run user."""
    run_users.delete(profile=call.profile, user=call.path["user_id"])
    return "Successfully Removed"


def login(call: Call) -> Any:
    """Make a token with which to call as a run user."""
    expire_time = one(call.query, "expire_time")
    return run_users.login(profile=call.profile, user=call.path["user_id"], expire_time=expire_time, giver=call.caller)


def _hashed(call: Call) -> str:
    """Return the hash of the password in the body."""
    return call.hash(lambda: passwords.hashed(call.body["password"]))


_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route("GET", "/run/users", list_users, who=_WHO, grant="run_user/access", note="SDK"),
    Route(
        "POST", "/run/users", create, who=_WHO, need="write", body=schema.create, grant="run_user/create",
        rate="POST /run/users",
        note="partly: SDK. Inactive unless `active` is true. `generate_password` and `send_email` are ignored: send a "
        "password of at least 6 characters. An e-mail address belongs to one run user of the profile",
    ),
    Route(
        "GET", "/run/users/{user_id}", info, who=_WHO, grant="run_user/access",
        note="partly: SDK. `last_login` is always null",
    ),
    Route(
        "PUT", "/run/users/{user_id}", edit, who=_WHO, need="write", body=schema.edit, grant="run_user/edit",
        rate="PUT /run/users",
        note="SDK. The e-mail address stays. A new password and `logout_sessions` end the user's tokens",
    ),
    Route(
        "DELETE", "/run/users/{user_id}", delete, who=_WHO, need="full", grant="run_user/delete", note="SDK",
    ),
    Route(
        "GET", "/run/users/{user_id}/login", login, who=_WHO, need="full", grant="run_user/login_as_user",
        note="SDK. `expire_time` is a span or a date, 8 hours if absent, at most 3 months",
    ),
)  # fmt: skip
