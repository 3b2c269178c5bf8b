"""Fair share: a device that floods cannot use up the limit that the others of its profile need.

n devices were seen in this minute or the last one. The share of each is ``limit // n``, at least 1. A device below its
share is refused only at the limit. One at its share or above is refused if what is used and what is reserved for the
others reach the limit. Reserved is, for each device of the last minute, what it did then, at most its share, less what
it has done in this minute; at least a tenth of the limit if two devices or more were seen within the last hour.
"""

from collections.abc import Callable

from chalicelib.services.usage.waste import free

Key = tuple[str, str]
MOST_OF_ONE = 10_000
"""With more devices in a counter it is not shared fairly."""
MOST = 100_000
"""With more devices in all counters, those that see another one are not shared fairly."""
HOUR = 60
"""How many minutes a second device counts after it was seen."""


class _Sharing:
    """A counter that is shared fairly, in one minute."""

    __slots__ = ("is_off", "last", "last_total", "now", "reserved", "returned", "share", "total")
    total: int
    """What all devices did in this minute."""

    def __init__(self, last: "_Sharing | None") -> None:
        self.is_off = False
        self.now: dict[str, int] = {}
        """What each device that was seen did in this minute."""
        self.last: dict[str, int] = last.now if last is not None and not last.is_off else {}
        self.last_total: int = last.total if self.last and last is not None else 0
        self.returned = 0
        """How many devices are in both."""
        self.total = 0
        self.share, self.reserved = 0, 0
        """What is reserved for a certain share. It follows each count; another share needs a new sum."""

    @property
    def devices(self) -> int:
        return len(self.now) + len(self.last) - self.returned

    def count(self, sharer: str, number: int) -> None:
        before = self.now.get(sharer)
        if before is None:
            return
        self.now[sharer] = before + number
        self.total += number
        if self.share and min(before, before + number) < min(self.last.get(sharer, 0), self.share):
            self.reserved -= number

    def reserve(self, share: int) -> int:
        """Return what is reserved. Cost: a sum over all devices if the share has changed; else nothing."""
        if share != self.share:
            self.share = share
            now = self.now
            self.reserved = sum(max(0, min(count, share) - now.get(device, 0)) for device, count in self.last.items())
        return self.reserved


class Shares:
    """The fair shares of counters, minute by minute.

    Args:
        warn: gets a text if a bound is reached.
        most_of_one: how many devices a counter may have.
        most: how many devices all counters together may have in a minute.
    """

    def __init__(self, warn: Callable[[str], object], most_of_one: int = MOST_OF_ONE, most: int = MOST) -> None:
        self._warn, self._most_of_one, self._most = warn, most_of_one, most
        self._minute, self._seen = -1, 0
        self._now: dict[Key, _Sharing] = {}
        self._last: dict[Key, _Sharing] = {}
        self._old: list[dict[Key, _Sharing]] = []
        self._recent: dict[Key, tuple[str, int, str, int]] = {}
        """The two devices of each counter that were seen last, each with its minute."""

    def is_loud(self, key: Key, sharer: str, used: int, limit: int, minute: int) -> bool:
        """Return whether a device must leave what is left of a counter to others. It counts as seen from now on.

        Args:
            key: the counter.
            sharer: the device.
            used: how much of the counter is used in this minute.
            limit: how much the minute has.
            minute: the minute, in minutes since 1970.
        """
        sharing = self._sharing(key, minute)
        if sharer not in sharing.now:
            self._see(sharing, key, sharer)
        if sharing.is_off or sharing.devices == 1 or (used < limit // 2 and sharing.last_total < limit // 2):
            return False  # alone, or what is used and reserved cannot reach the limit
        share = max(1, limit // sharing.devices)
        if sharing.now[sharer] < share:
            return False
        reserved = sharing.reserve(share)
        if reserved < limit // 10 and self.has_others(key):
            reserved = limit // 10
        return used + reserved >= limit

    def count(self, key: Key, sharer: str, number: int) -> None:
        """Add to what a device has used in the minute of the last ``is_loud``; -1 gives one back."""
        sharing = self._now.get(key)
        if sharing is not None:
            sharing.count(sharer, number)

    def has_others(self, key: Key) -> bool:
        """Return whether two devices or more were seen within the last hour."""
        recent = self._recent.get(key)
        return recent is not None and recent[3] > self._minute - HOUR

    def _sharing(self, key: Key, minute: int) -> _Sharing:
        if minute != self._minute:
            self._old.append(self._last)
            if minute != self._minute + 1:
                self._old.append(self._now)
                self._now = {}
            self._minute, self._last, self._now, self._seen = minute, self._now, {}, 0
        if self._old:
            free(self._old)
        sharing = self._now.get(key)
        if sharing is None:
            sharing = self._now[key] = _Sharing(self._last.pop(key, None))
        return sharing

    def _see(self, sharing: _Sharing, key: Key, device: str) -> None:
        if sharing.is_off:
            return
        if sharing.devices >= self._most_of_one and device not in sharing.last:
            self._turn_off(sharing, f"more than {self._most_of_one} devices of one profile")
        elif self._seen >= self._most:
            self._turn_off(sharing, f"more than {self._most} devices")
        else:
            self._seen += 1
            sharing.now[device] = 0
            sharing.returned += device in sharing.last
            self._remember(key, device)

    def _turn_off(self, sharing: _Sharing, why: str) -> None:
        sharing.is_off = True
        self._warn(f"{why} in one minute: fair share is off for a minute")

    def _remember(self, key: Key, device: str) -> None:
        recent = self._recent.pop(key, None)
        if recent is None:
            if len(self._recent) >= self._most:
                del self._recent[next(iter(self._recent))]
            recent = device, self._minute, "", self._minute - HOUR
        first, first_minute, second, second_minute = recent
        if device != first:
            second, second_minute = first, first_minute
        self._recent[key] = device, self._minute, second, second_minute
