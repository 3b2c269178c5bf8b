"""Which MQTT clients may connect, and what they may do then."""

from typing import NamedTuple

from chalicelib.services.access import callers, client_ids, reach


class Admission(NamedTuple):
    """A client that may connect."""

    device: str
    profile: str
    client_id: str
    """Bound to the device."""
    may_publish: bool
    may_subscribe: bool


def admit(*, token: str, client_id: str, keep_s: int | None) -> Admission | None:
    """Admit a client of a device, or return None: no valid device token, a deactivated device, another's client id.

    Args:
        token: the client's password.
        client_id: by which the broker will name it; it gets bound to the device.
        keep_s: how long the binding must last; None: it does not expire.

    Raises:
        errors.ApiError: the device is gone, or the store is down.

    Cost: nothing that is not in memory if the token was used within the last minute, but for the binding's read.
    """
    caller = callers.resolve(text=token)
    if caller is None or caller.kind != "device":
        return None
    device = reach.device_or_raise(profile=caller.profile, device=caller.device)
    if not device["active"] or not client_ids.bind(client_id=client_id, caller=caller, keep_s=keep_s):
        return None
    return Admission(caller.device, caller.profile, client_id, caller.may("write"), caller.may("read"))
