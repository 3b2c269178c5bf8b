"""Serial numbers of devices, by the rule of their network."""

import re
from functools import lru_cache

from chalicelib import errors
from chalicelib.schemas.fields import MAX_SERIAL_CHARS
from chalicelib.schemas.integrations import SerialRule
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services.access import reach, tokens
from chalicelib.services.devices import integrations
from chalicelib.store import Doc

_CHARACTERS = {"F": "[0-9A-Fa-f]", "A": "[A-Za-z]", "0": "[0-9]", "P": "[0-9A-Za-z]", "-": ""}
"""What a symbol of a mask matches. A hyphen is only for the eye: it is not stored."""
_MEANING = "F is a hex digit, A a letter, 0 a digit, P a letter or digit"


def normalised(network: Doc | None, serial: str) -> str:
    """Return a serial number in the form in which it is stored.

    With a mask, hyphens are left out; without one, it is kept as sent. If the network names a case, it gets that case.

    Args:
        network: as stored; None: unknown here, so there is no rule.
        serial: as sent.

    Raises:
        errors.BadRequest: it does not match the mask.

    Source: TagoIO, "Serial number format". That it is kept as sent without a mask is our decision.
    """
    rule = _rule(network)
    mask, case = rule.get("mask"), rule.get("case")
    if mask:
        serial = serial.replace("-", "")
        if _pattern(mask).fullmatch(serial) is None:
            raise errors.BadRequest.field("serie_number", f"serie_number must have the form {mask}: {_MEANING}")
    if case == "upper":
        return serial.upper()
    return serial.lower() if case == "lower" else serial


def spellings(network: Doc | None, serial: str) -> list[str]:
    """Return the forms in which a serial number may be stored: by the network's present rule, and as sent.

    A text that no serial number can be has none.
    """
    if not 0 < len(serial) <= MAX_SERIAL_CHARS or "#" in serial:
        return []
    try:
        return [*dict.fromkeys((normalised(network, serial), serial))]
    except errors.BadRequest:
        return [serial]


def _rule(network: Doc | None) -> SerialRule:
    return (network and network.get("serial_number")) or {}


@lru_cache(maxsize=1_000)
def _pattern(mask: str) -> re.Pattern[str]:
    return re.compile("".join(_CHARACTERS[symbol] for symbol in mask))


def of_new_device(*, profile: str, network: str, serial: str | None) -> str | None:
    """Return the serial number of a new device as it is stored.

    Args:
        profile: the owner.
        network: the id of its network.
        serial: as sent. None or empty: it has none.

    Raises:
        errors.BadRequest: the network requires one, it does not match the network's mask, or another device of the
            profile and the network has it.

    Cost: that of ``integrations.network``; with a serial number also one query, and half a read for each device that
        has it in another network.
    """
    found = integrations.network(profile, network)
    if found and not serial and _rule(found).get("required"):
        raise errors.BadRequest.field("serie_number", f"serie_number is required by the network {found['name']}")
    return _free(profile, network, "", serial)


def in_token(*, device: Doc, sent: TokenIn) -> TokenIn:
    """Return a new token of a device with its serial number as it is stored; see ``of_new_device``. None is allowed."""
    serial = _free(device["profile"], device["network"], device["id"], sent.get("serie_number"))
    return {**sent, "serie_number": serial}


def _free(profile: str, network: str, device: str, serial: str | None) -> str | None:
    """Return a normalised serial number that no other device of the network has.

    Two requests of the same moment may both get it. Then a search finds both devices, as for those of two networks.
    """
    if not serial:
        return None
    serial = normalised(integrations.network(profile, network), serial)
    for other in tokens.devices_with_serial(profile=profile, serial=serial) - {device}:
        if _network_of(profile, other) == network:
            reason = "serie_number belongs to another device of this network: GET /device?serial= finds it"
            raise errors.BadRequest.field("serie_number", reason)
    return serial


def _network_of(profile: str, device: str) -> str | None:
    try:
        return str(reach.device_or_raise(profile=profile, device=device)["network"])
    except errors.NotFound:
        return None
