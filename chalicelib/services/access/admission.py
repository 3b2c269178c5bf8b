"""Decides which MQTT clients may connect, and whether they may publish and subscribe."""

from typing import NamedTuple

from chalicelib import store
from chalicelib.services.access import callers, client_ids, reach


class Admission(NamedTuple):
    """The decision that a client may connect, with its permissions."""

    device: str
    profile: str
    client_id: str
    """The client id, which is bound to the device."""
    may_publish: bool
    may_subscribe: bool
    expires_ms: int | None
    """When its token stops working; None: never."""


def admit(*, token: str, client_id: str, keep_s: int | None) -> Admission | None:
    """Admit a client of a device and bind its client id to the device.

    Token and device are read now: no cache may admit a client again whose session was just ended.

    Args:
        token: the client's password.
        client_id: the id by which the broker knows the client.
        keep_s: how long the binding must last; None: it does not expire.

    Returns:
        None if the token is no valid device token, the device is deactivated, or the client id is another device's.

    Raises:
        errors.ApiError: the device does not exist, or the store is down.

    Cost: two reads, and that of ``client_ids.bind``.
    """
    caller = callers.resolve(text=token, is_fresh=True)
    if caller is None or caller.kind != "device":
        return None
    device = reach.device_or_raise(profile=caller.profile, device=caller.subject, is_fresh=True)
    if not device["active"]:
        return None
    with store.current().unit():
        if not client_ids.bind(client_id=client_id, caller=caller, keep_s=keep_s):
            return None
    return Admission(
        caller.subject, caller.profile, client_id, caller.may("write"), caller.may("read"), caller.expires_ms
    )
