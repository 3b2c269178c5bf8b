"""Packs the world's time zones for the guest, from the package tzdata.

A zone is a text such as ``3600 7200|1b2c 0d4e``: its offsets from UTC in seconds, each with an abbreviation if it has
one in the English of the USA, and its changes: the number of the new offset as one digit in base 36, and the minutes
since the change before (the first: since 1970) in base 36. The name of another zone makes it an alias.
"""

import datetime
import importlib.resources
import io
import struct
from zoneinfo import ZoneInfo

LAST = 2070
"""The year until which zones with summer time are packed. After it, they keep their offset."""
_STEP = datetime.timedelta(days=28)
"""No rule changes an offset twice within a step."""
_MINUTE = datetime.timedelta(minutes=1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ABBREVIATIONS = {"EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT", "AKST", "AKDT", "HST"}
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

State = tuple[int, str]
"""An offset in seconds, and an abbreviation or an empty text."""


def packed() -> dict[str, str]:
    """Return the packed text of every zone by its name."""
    folder = importlib.resources.files("tzdata")
    names = (folder / "zones").read_text().split()
    found: dict[str, str] = {}
    by_content: dict[bytes, str] = {}
    for name in names:
        content = (folder / "zoneinfo").joinpath(*name.split("/")).read_bytes()
        original = by_content.setdefault(content, name)
        found[name] = _pack(read(content), content) if original == name else original
    return found


def read(content: bytes) -> ZoneInfo:
    """Return a zone from its file. A zone that is asked for by name may be the system's."""
    return ZoneInfo.from_file(io.BytesIO(content))


def _pack(zone: ZoneInfo, content: bytes) -> str:
    states: list[State] = [_state(zone, _EPOCH)]
    changes: list[str] = []
    before, minute = states[0], _EPOCH
    for at in _changes(zone, content):
        state = _state(zone, at)
        if state != before:
            if state not in states:
                states.append(state)
            changes.append(_DIGITS[states.index(state)] + _base36((at - minute) // _MINUTE))
            before, minute = state, at
    kinds = [f"{seconds},{abbreviation}" if abbreviation else str(seconds) for seconds, abbreviation in states]
    return " ".join(kinds) + "|" + " ".join(changes)


def _changes(zone: ZoneInfo, content: bytes) -> list[datetime.datetime]:
    """Return when the zone's state may change, to the minute.

    Source: RFC 9636: a second block with times of 64 bits, and a rule in the footer for all times after them.
    """
    counts = struct.unpack_from(">6l", content, 20)
    second = 44 + counts[3] * 5 + counts[4] * 6 + counts[5] + counts[2] * 8 + counts[1] + counts[0]
    (known,) = struct.unpack_from(">l", content, second + 32)
    times = struct.unpack_from(f">{known}q", content, second + 44)
    found = [_EPOCH + datetime.timedelta(minutes=seconds // 60) for seconds in times if seconds > 0]
    has_rule = b"," in content.rstrip(b"\n").rpartition(b"\n")[2]
    at = max([_EPOCH, *found])
    while has_rule and at.year < LAST:
        later = at + _STEP
        if _state(zone, later) != _state(zone, at):
            low, high = at, later
            while high - low > _MINUTE:
                middle = low + (high - low) // 2 // _MINUTE * _MINUTE
                low, high = (middle, high) if _state(zone, middle) == _state(zone, low) else (low, middle)
            found.append(high)
        at = later
    return found


def _state(zone: ZoneInfo, at: datetime.datetime) -> State:
    local = at.astimezone(zone)
    seconds = int((local.utcoffset() or datetime.timedelta()).total_seconds())
    name = local.tzname() or ""
    return seconds, name if name in _ABBREVIATIONS and seconds < 0 else ""


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
