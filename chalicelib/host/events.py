"""Live events: tells a watcher of stored points and of what devices do.

The embedded mode's event stream watches. On AWS nobody does.
"""

from typing import Protocol

from chalicelib.codec.segments import Item
from chalicelib.host.slot import Slot


class Watcher(Protocol):
    """Hears of events. What was stored may still be undone with its transaction."""

    def stored(self, device: str, items: list[Item]) -> None:
        """Segments of the device were put."""

    def seen(self, device: str, title: str, content: str) -> None:
        """The device did something, or was answered."""


class Nobody:
    """Ignores every event."""

    def stored(self, device: str, items: list[Item]) -> None:
        """See Watcher."""

    def seen(self, device: str, title: str, content: str) -> None:
        """See Watcher."""


def _nobody() -> Watcher:
    return Nobody()


_slot = Slot(_nobody)
current, use = _slot.current, _slot.use
