"""Who watches: points as they are stored, and what a device does. Nobody on AWS; the embedded mode's event stream."""

from collections.abc import Callable

from chalicelib.codec.segments import Item

Stored = Callable[[str, list[Item]], None]
Seen = Callable[[str, str, str], None]
_stored: list[Stored] = []
_seen: list[Seen] = []


def watch(stored: Stored, seen: Seen) -> None:
    """Call ``stored`` with a device and its new segments, and ``seen`` with a device, a title and what happened."""
    _stored[:], _seen[:] = [stored], [seen]


def stop() -> None:
    """Call nobody any more."""
    _stored.clear()
    _seen.clear()


def stored(device: str, items: list[Item]) -> None:
    """Tell that segments were put; they may still be undone with the transaction."""
    for watcher in _stored:
        watcher(device, items)


def seen(device: str, title: str, content: str) -> None:
    """Tell what a device did or was told."""
    for watcher in _seen:
        watcher(device, title, content)
