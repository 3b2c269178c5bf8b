"""Returns the devices that a caller may reach."""

from chalicelib import errors, settings
from chalicelib.host.cache import Cache
from chalicelib.services import entities
from chalicelib.services.access.callers import Caller
from chalicelib.services.entities import Kind
from chalicelib.store import Doc, names

DEVICE = Kind("Device", names.DEVICES, Cache(ttl_s=settings.CACHE_S))


def device_or_raise(*, profile: str, device: str, is_fresh: bool = False) -> Doc:
    """Return a device of the profile.

    Raises:
        errors.NotFound: the profile has no such device.

    Cost: one read if fresh. If not: no read within a minute of the last one, else half a read.
    """
    return entities.get_or_raise(DEVICE, owner=names.profile(profile), doc_id=device, is_fresh=is_fresh)


def own_device_or_raise(caller: Caller) -> Doc:
    """Return the device of a device token.

    Raises:
        errors.Denied: the device does not exist any more.
        errors.BadRequest: the device is deactivated.
    """
    try:
        device = device_or_raise(profile=caller.profile, device=caller.subject)
    except errors.NotFound:
        raise errors.Denied from None
    if not device["active"]:
        raise errors.BadRequest("Device is deactivated")
    return device
