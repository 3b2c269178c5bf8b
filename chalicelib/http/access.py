"""Access management, for the one object that a route names. Lists are filtered by ``Call.may_see`` instead.

Only analyses and run users are governed by policies. All other callers pass at once.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from chalicelib import errors
from chalicelib.services.access import analyses, permissions, policies, reach, run_users, tokens
from chalicelib.services.access.permissions import NOTHING, Rights, Tagged
from chalicelib.services.accounts import roles
from chalicelib.services.devices import actions, integrations
from chalicelib.services.devices.integrations import CONNECTOR, NETWORK, Integration
from chalicelib.store import Doc

if TYPE_CHECKING:
    from chalicelib.http.route import Call, Route

LISTS = frozenset(
    {
        "/device", "/action", "/am", "/analysis", "/run/users", "/profile", "/serviceauth", "/integration/connector",
        "/integration/network",
    }
)  # fmt: skip
"""The lists. They show a caller only what it may see, so they are never refused."""

_Find = Callable[[str, str], Doc]
"""Gets the document of an object of a profile. Raises errors.NotFound."""


def _finder(integration: Integration) -> _Find:
    return lambda profile, doc_id: integrations.get_or_raise(
        integration, profile=profile, doc_id=doc_id, is_fresh=False
    )


_OBJECTS: Mapping[str, tuple[str, _Find]] = {
    "device_id": ("device", lambda profile, device: reach.device_or_raise(profile=profile, device=device)),
    "analysis_id": ("analysis", lambda profile, analysis: analyses.get_or_raise(profile=profile, analysis=analysis)),
    "user_id": ("run_user", lambda profile, user: run_users.get_or_raise(profile=profile, user=user)),
    "am_id": ("access_management", lambda profile, policy: policies.get_or_raise(profile=profile, policy=policy)),
    "action_id": ("action", lambda profile, action: actions.get_or_raise(profile=profile, action=action)),
    "connector_id": ("connector", _finder(CONNECTOR)),
    "network_id": ("network", _finder(NETWORK)),
    "profile_id": ("account", lambda own, profile: {"id": own if profile == roles.CURRENT else profile}),
}
"""By parameter of the path: the resource that it names, and how to find the object."""


class Claim(NamedTuple):
    """What a governed caller asks for, until the body says the rest."""

    rights: Rights
    about: Tagged | None
    """The object that the path names; None: the body says what the request is about."""


def require(call: "Call", row: "Route") -> None:
    """Check that the caller may use the route on the object in its path, or set what the caller may see of a list.

    An object that does not exist matches only what names all objects.

    Raises:
        errors.Denied: the caller may not; so it is if the object does not exist.

    Cost: none for callers that policies do not govern. Else the policies and the object, each read once a minute.
    """
    caller = call.caller
    if row.grant is None or not caller.is_governed:
        return
    active = policies.active(profile=caller.profile)
    rights = permissions.rights(active, caller.kind, permissions.tagged(call.subject), row.grant)
    if row.method == "GET" and row.path in LISTS:
        call.may_see = rights.visible()
        return
    about = _in_path(call, row, row.grant)
    is_judged_later = about is None and row.body is not None
    if rights.allow_nothing or not (is_judged_later or rights.allow(about or NOTHING)):
        raise errors.Denied
    call.claim = Claim(rights, about)


def require_body(call: "Call", row: "Route") -> None:
    """Check that the caller may do what the body asks for: create something with these tags, or give it these tags.

    Raises:
        errors.Denied: the caller may not.
    """
    if call.claim is None:
        return
    rights, about = call.claim
    if row.path == "/device/token":
        about = _device(call, call.body["device"])
    elif isinstance(call.body, dict) and "tags" in call.body:
        if about is not None and about.id == call.subject["id"]:
            raise errors.Denied  # policies name callers by their tags: it would choose its own rights
        about = Tagged(about.id if about else None, permissions.pairs(call.body["tags"]))
    if not rights.allow(about or NOTHING):
        raise errors.Denied


def _in_path(call: "Call", row: "Route", grant: str) -> Tagged | None:
    """Return the object that a path names, or None if it names none."""
    text = call.path.get("device_id_or_token")
    if text is not None:
        return _device(call, text) if row.method == "GET" else _device_of_token(call, text)
    for parameter, (resource, find) in _OBJECTS.items():
        if parameter in call.path and grant.startswith(f"{resource}/"):
            return _found(find, call.profile, call.path[parameter])
    return None


def _found(find: _Find, profile: str, name: str) -> Tagged:
    try:
        return permissions.tagged(find(profile, name))
    except errors.NotFound:
        return NOTHING


def _device(call: "Call", device: str) -> Tagged:
    return _found(_OBJECTS["device_id"][1], call.profile, device)


def _device_of_token(call: "Call", text: str) -> Tagged:
    try:
        return _device(call, tokens.device_of(profile=call.profile, text=text))
    except errors.NotFound:
        return NOTHING
