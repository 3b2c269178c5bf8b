"""Keeps the counters of devices and profiles on AWS. The stream of the table of segments carries every change."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from chalicelib.codec import segments
from chalicelib.codec.segments import Item
from chalicelib.store import Delta

Add = Callable[[Delta], str | None]


class Change(NamedTuple):
    """A change in the stream: a segment before and after it."""

    sequence: str
    """A number in decimal digits, which rises with each change of a device. Its length varies."""
    profile: str
    old: Item | None
    new: Item | None

    @property
    def device(self) -> str:
        """The owner of the segment."""
        item = self.new or self.old
        return item.device if item else ""


def pad(sequence: str) -> str:
    """Pad a sequence number so that it sorts as text like a number. DynamoDB's have at most 40 digits."""
    return sequence.zfill(40)


def apply(*, changes: Iterable[Change], add: Add) -> int:
    """Add changes to the counters, each once however often and in whatever batches they are delivered.

    Args:
        changes: of one shard, in its order.
        add: adds to the counters of a device, or returns the sequence number up to which they hold changes already.

    Returns:
        How many changes were added.

    Cost: one update a device in the batch.
    """
    by_device: dict[str, list[Change]] = {}
    for change in changes:
        by_device.setdefault(change.device, []).append(change)
    return sum(_apply(own, add) for own in by_device.values())


def _apply(changes: list[Change], add: Add) -> int:
    while changes:
        applied = add(_delta(changes))
        if applied is None:
            return len(changes)
        changes = [change for change in changes if pad(change.sequence) > applied]
    return 0


def _delta(changes: list[Change]) -> Delta:
    points_in = records = 0
    last_ms = None
    for change in changes:
        records += (change.new.points if change.new else 0) - (change.old.points if change.old else 0)
        if change.new is not None and change.old is None:
            segment = segments.decode_header(change.new)
            if not segment.moved:
                points_in += change.new.points
                created_ms = segment.created_us // 1000
                last_ms = max(last_ms or created_ms, created_ms)
    last = changes[-1]
    return Delta(last.device, last.profile, points_in, records, last_ms, pad(changes[0].sequence), pad(last.sequence))
