"""Notifies a watcher of stored points and device activity.

In the embedded mode the event stream is the watcher. On AWS there is none.
"""

from typing import Protocol

from chalicelib.codec.segment import Item
from chalicelib.host.slot import Slot


class Watcher(Protocol):
    """Is notified of events. Points that were stored may still be undone with their transaction."""

    def stored(self, device: str, items: list[Item]) -> None:
        """Segments of the device were stored."""

    def seen(self, device: str, title: str, content: str) -> None:
        """The device did something, or got an answer."""

    def revoked(self, device: str) -> None:
        """The device or one of its tokens was deleted or deactivated. Each listener must be checked again."""


class Nobody:
    """Ignores every event."""

    def stored(self, device: str, items: list[Item]) -> None:
        """See Watcher."""

    def seen(self, device: str, title: str, content: str) -> None:
        """See Watcher."""

    def revoked(self, device: str) -> None:
        """See Watcher."""


def _nobody() -> Watcher:
    return Nobody()


_slot = Slot(_nobody)
current, use = _slot.current, _slot.use
