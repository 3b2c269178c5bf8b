"""What a network does with its token: it finds devices by serial number, creates them, and sets their parameters.

A network reaches only devices that name it as their network. They are those of its own profile or, with a service
authorization, those of the profile that gave it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from chalicelib import errors, store
from chalicelib.codec.tokens import Permission
from chalicelib.host import clock, deadline
from chalicelib.schemas.devices import DeviceIn, NetworkDeviceIn, Resolve
from chalicelib.schemas.lists import ListQuery
from chalicelib.schemas.params import ParamIn
from chalicelib.services.access import callers, last_uses, reach, tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.devices import devices, integrations, params, serials
from chalicelib.services.devices.network_tokens import CREATE_DEVICE
from chalicelib.services.entities import Row
from chalicelib.store import Doc, Entity, names

_NO_NAMES = Resolve(bucket=False, connector=False, network=False)


class Scope(NamedTuple):
    """Where a network looks for devices."""

    network: Doc
    profile: str
    """The profile whose devices it reaches."""
    permissions: tuple[Permission, ...]
    """Those of its token, and of the service authorization."""
    giver: Caller | None = None
    """The service authorization; None: there is none."""

    def gives(self, listed: Doc) -> bool:
        """Return whether the network may be given a device token: it has no more rights than the network."""
        return all(callers.includes(own, listed["permission"]) for own in self.permissions)


def scope(*, caller: Caller, network: Doc, authorization: str | None, need: Permission) -> Scope:
    """Return where a network looks for devices.

    Args:
        caller: the network's token.
        network: the network.
        authorization: the text of a service authorization, as the client sent it. None: there is none.
        need: the permission that the service authorization must have.

    Raises:
        errors.Denied: the text is no valid service authorization, or one without the permission.

    Cost: none without an authorization, or if it was read within the last minute; else that of ``callers.resolve``.
    """
    if authorization is None:
        return Scope(network, caller.profile, (caller.permission,))
    giver = callers.resolve(text=authorization)
    if giver is None or giver.kind != "service" or not giver.may(need):
        raise errors.Denied
    last_uses.note(giver)
    return Scope(network, giver.profile, (caller.permission, giver.permission), giver)


def resolve(*, scope: Scope, serial: str) -> str:
    """Return the text of the device token with a serial number; of several, that of the newest device.

    Raises:
        errors.NotFound: the network has no such device.
        errors.Denied: each of its tokens has more rights than the network or the service authorization.

    Cost: one query, one read for each token with the serial number, and the devices, each read once a minute. With
        another service authorization than the last one, two reads and a write more.
    """
    _, listed = _found(scope, serial, scope.gives)
    return tokens.text_of(listed)


def device_or_raise(*, scope: Scope, serial: str) -> Doc:
    """Return the device to which a network sends data. Cost: as ``resolve``.

    Raises:
        errors.NotFound: the network has no device with this serial number.
        errors.Denied: no token with this serial number may write.
        errors.BadRequest: the device is deactivated.
    """
    device, _ = _found(scope, serial, lambda listed: callers.includes(listed["permission"], "write"))
    if not device["active"]:
        raise errors.BadRequest("Device is deactivated")
    return device


def _found(scope: Scope, serial: str, is_usable: Callable[[Doc], bool]) -> tuple[Doc, Doc]:
    """Return the newest device with a serial number and a token that can be used, and that token as lists show it."""
    pairs = _with_serial(scope, serial)
    device, listed = next((pair for pair in pairs if is_usable(pair[1].doc)), (None, None))
    if device is None or listed is None:
        raise errors.Denied
    if scope.giver is not None:
        last_uses.note_authorization(giver=scope.giver, listed=listed)
    return device, listed.doc


def _with_serial(scope: Scope, serial: str) -> list[tuple[Doc, Entity]]:
    """Return the network's devices with a serial number, the newest first, each with a token that has it.

    Raises:
        errors.NotFound: there is none.
    """
    pairs = [pair for text in serials.spellings(scope.network, serial) for pair in _pairs(scope, text)]
    if not pairs:
        raise errors.NotFound("Serial number not found")
    return sorted(pairs, key=lambda pair: (pair[0]["created_ms"], pair[1].doc["created_ms"]), reverse=True)


def _pairs(scope: Scope, serial: str) -> Iterator[tuple[Doc, Entity]]:
    """Yield each device of the network, with each valid token, that has exactly this serial number."""
    for entity in store.current().list(names.profile(scope.profile), names.serials(serial)):
        deadline.check()
        try:
            device = reach.device_or_raise(profile=scope.profile, device=entity.doc["device"])
        except errors.NotFound:
            continue
        if device["network"] == scope.network["id"]:
            listed = store.current().get(names.device(device["id"]), names.token(entity.name.rpartition("#")[2]))
            if listed is not None and not _is_expired(listed.doc):
                yield device, listed


def _is_expired(listed: Doc) -> bool:
    return listed["expires_ms"] is not None and listed["expires_ms"] <= clock.now_ms()


def own_device_or_raise(*, caller: Caller, device: str) -> Doc:
    """Return a device of the network's own profile.

    Raises:
        errors.NotFound: the profile has no such device, or it is not the network's.

    Cost: one read within a minute.
    """
    doc = reach.device_or_raise(profile=caller.profile, device=device)
    if doc["network"] != caller.subject:
        raise errors.NotFound(f"{reach.DEVICE.noun} not found")
    return doc


def create(*, caller: Caller, sent: NetworkDeviceIn) -> dict[str, Any]:
    """Create a device of the network in its profile; return ``device_id`` and ``token``.

    Raises:
        errors.Denied: the token has no privilege to create devices.
        errors.ApiError: as ``devices.create``.

    Cost: two reads, and that of ``devices.create``.
    """
    listed = tokens.listed_of(caller.fingerprint)
    if listed is None or not listed.doc.get(CREATE_DEVICE):
        raise errors.Denied
    whole = cast(DeviceIn, {**sent, "network": caller.subject})
    made = devices.create(profile=caller.profile, sent=whole, giver=caller)
    return {name: made[name] for name in ("device_id", "token")}


def merge_params(*, caller: Caller, device: str, sent: Sequence[ParamIn]) -> None:
    """Change and add configuration parameters of a device; see ``params.merge``.

    Raises:
        errors.NotFound: as ``own_device_or_raise``, or as ``params.merge``.
        errors.ApiError: as ``params.merge``.
    """
    params.merge(device=own_device_or_raise(caller=caller, device=device)["id"], sent=sent)


def list_page(*, caller: Caller, network: Doc, connector: str, query: ListQuery, serial: str | None) -> list[Row]:
    """Return a page of the network's devices with a connector, each with the text of a token or None.

    Args:
        caller: the network's token.
        network: the network.
        connector: an id, as the client sent it.
        query: page, order and filters.
        serial: as in ``devices.list_page``.

    Raises:
        errors.BadRequest: the network does not have ``require_devices_access``.
        errors.NotFound: the profile has no such connector, and the network no device with this id as its connector.

    Cost: that of ``devices.list_page``, and one query for each device of the page.
    """
    if not network["require_devices_access"]:
        raise errors.BadRequest.field(
            "require_devices_access", "require_devices_access of the network must be true to list its devices"
        )
    own = Scope(network, caller.profile, (caller.permission,))
    has_some = False

    def is_listed(device: Doc) -> bool:
        nonlocal has_some
        is_own = bool(device["network"] == network["id"] and device["connector"] == connector)
        has_some = has_some or is_own
        return is_own

    rows = devices.list_page(profile=caller.profile, query=query, resolve=_NO_NAMES, serial=serial, may_see=is_listed)
    if not has_some and integrations.connector(caller.profile, connector) is None:
        raise errors.NotFound("Connector not found")
    return [_with_token(row, own.gives) for row in rows]


def _with_token(row: Row, gives: Callable[[Doc], bool]) -> Row:
    deadline.check()
    listed = [entity.doc for entity in store.current().list(names.device(row["id"]), names.TOKENS)]
    usable = [doc for doc in listed if gives(doc) and not _is_expired(doc)]
    newest = max(usable, key=lambda doc: int(doc["created_ms"]), default=None)
    return row | {"token": tokens.text_of(newest) if newest else None}
