"""Keeps the counters of devices and profiles on AWS. The stream of the table of segments carries every change.

Lambda delivers each change at least once. The counters of a device have the mark of the last change that they include:
the label of the stream and the change's sequence number. Sequence numbers rise only within one stream. Its label is the
time of its creation, so the marks of a later stream sort after those of an earlier one.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple

from chalicelib import errors
from chalicelib.codec import hours, segments, times
from chalicelib.codec.segment import Item
from chalicelib.host import deadline
from chalicelib.host.deadline import Limits
from chalicelib.store import Counted, Delta, Rejected

Add = Callable[[Delta], Counted | None]
THREADS = 8
"""How many devices are counted at a time. An update is nearly all waiting."""
_ROUNDS = 3
"""How often a device is tried. A busy partition throttles some of many updates, and Lambda would deliver all again."""
_NO_PROFILE = "The segments do not say whose they are"


class Change(NamedTuple):
    """What a change in the stream adds to the counters of a device."""

    device: str
    profile: str | None
    """None if the segment does not hold it: early versions did not store it."""
    stream: str
    """The label of the stream, such as ``2026-11-26T07:00:00.000``."""
    sequence: str
    """The sequence number within the stream, padded to 40 digits so that it sorts as text like a number."""
    points_in: int
    records: int
    at_ms: int
    """When it was made, in milliseconds since 1970."""
    sent_ms: int | None
    """When its points arrived; None if it stored none that a client sent."""
    day: int | None = None
    """The UTC day, since 1970, in which a new segment should be sealed; None: none should."""

    @property
    def mark(self) -> str:
        """The mark of the change, which sorts as text."""
        return f"{self.stream} {self.sequence}"

    @property
    def hour(self) -> int:
        """The hour in which it was made, in hours since 1970."""
        return self.at_ms // hours.HOUR_MS


class Sum(NamedTuple):
    """What was added to the counters of a profile's devices in an hour."""

    profile: str
    hour: int
    """In hours since 1970."""
    points_in: int
    records: int


class Applied(NamedTuple):
    """What became of a batch."""

    added: int
    """How many changes were added."""
    rejected: dict[str, str]
    """By device: why its counters will never include changes of the batch."""


def pad(sequence: str) -> str:
    """Pad a sequence number so that it sorts as text like a number. DynamoDB's have at most 40 digits."""
    return sequence.zfill(40)


def sent(item: Item) -> tuple[int, int | None]:
    """Return how many points a new segment brings from a client, and when they arrived.

    A segment of points that an edit moved brings none. A damaged item raises.
    """
    segment = segments.decode_header(item)
    return (0, None) if segment.moved else (item.points, segment.created_us // 1000)


def apply(*, changes: Iterable[Change], add: Add, settle: Callable[[Sum], None] = lambda _: None) -> Applied:
    """Add changes to the counters, each once however often and in whatever batches they are delivered.

    Eight devices are counted at a time, within the deadline of this thread. One that fails does not keep the others
    from being counted.

    Args:
        changes: of one shard, in its order. A device's changes are in one shard, or in its parents before it.
        add: adds to the counters of a device, or returns what they include already. Called in threads.
        settle: gets what was added, by profile and hour, also if some devices could not be counted. Called in threads,
            and not at all after the deadline.

    Raises:
        errors.Unavailable: some devices could not be counted now. The same batch may be applied again.

    Cost: one update a device in the batch, and one write more for the first change of an hour; two updates if its
        counters are of an earlier version.
    """
    by_device: dict[str, list[Change]] = {}
    for change in changes:
        by_device.setdefault(change.device, []).append(change)
    waiting, rejected, limits = by_device, {}, deadline.current()
    added: list[tuple[int, Delta]] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(_ROUNDS):
            outcomes = pool.map(lambda own: _outcome(own, add, limits, added), waiting.values())
            failed = {}
            for (device, own), outcome in zip(waiting.items(), outcomes, strict=True):
                if isinstance(outcome, Rejected):
                    rejected[device] = str(outcome)
                elif outcome is not None:
                    failed[device] = own
            waiting = failed
        sums = _sums(delta for _, delta in added)
        [*pool.map(lambda one: _settle(one, settle, limits), sums)]
    if waiting:
        raise errors.Unavailable(f"{len(waiting)} of {len(by_device)} devices could not be counted")
    return Applied(sum(count for count, _ in added), rejected)


def _settle(added: Sum, settle: Callable[[Sum], None], limits: Limits) -> None:
    with deadline.using(limits):
        if not deadline.has_passed():
            settle(added)


def _sums(deltas: Iterable[Delta]) -> list[Sum]:
    """Add up by profile and hour what was added to devices."""
    sums: dict[tuple[str, int], Sum] = {}
    for delta in deltas:
        before = sums.get((delta.profile, delta.hour), Sum(delta.profile, delta.hour, 0, 0))
        points_in, records = before.points_in + delta.points_in, before.records + delta.records
        sums[delta.profile, delta.hour] = before._replace(points_in=points_in, records=records)
    return [sums[key] for key in sorted(sums)]


def _outcome(
    changes: list[Change], add: Add, limits: Limits, added: list[tuple[int, Delta]]
) -> Rejected | errors.Unavailable | None:
    """Add the changes of a device, and note in ``added`` how many and what. Return why some could not be added."""
    with deadline.using(limits):
        try:
            if deadline.has_passed():
                raise errors.Unavailable
            profile = next((change.profile for change in changes if change.profile), None)
            if profile is None:
                raise Rejected(_NO_PROFILE)
            for _, of_hour in groupby(changes, lambda change: change.hour):
                count, delta = _apply([*of_hour], profile, add)
                if delta is not None:
                    added.append((count, delta))
            return None
        except (Rejected, errors.Unavailable) as error:
            return error


def _apply(changes: list[Change], profile: str, add: Add) -> tuple[int, Delta | None]:
    """Add the changes of an hour. Return how many and what was added; None: the counters include all of them."""
    replaces = None
    while changes:
        delta = _delta(changes, profile, replaces)
        counted = add(delta)
        if counted is None:
            return len(changes), delta
        is_bare = " " not in counted.mark
        replaces = counted.mark if is_bare else None
        changes = _after_number(changes, counted) if is_bare else [one for one in changes if one.mark > counted.mark]
    return 0, None


def _after_number(changes: list[Change], counted: Counted) -> list[Change]:
    """Return the changes that counters of an earlier version do not include. Their mark is a number without a stream.

    If the device sent nothing since the stream was created, they are of an earlier stream and include none. Else they
    may be of this stream, and include what has no higher number; but not a segment that arrived after their last one.
    """
    last_ms = counted.last_input_ms
    if last_ms is not None and times.to_iso(last_ms) < changes[0].stream:
        return changes
    for index, change in enumerate(changes):
        is_later = change.sent_ms is not None and change.sent_ms > (last_ms or 0)
        if change.sequence > counted.mark or is_later:
            return changes[index:]
    return []


def _delta(changes: list[Change], profile: str, replaces: str | None) -> Delta:
    return Delta(
        changes[0].device,
        profile,
        sum(change.points_in for change in changes),
        sum(change.records for change in changes),
        max((change.sent_ms for change in changes if change.sent_ms is not None), default=None),
        changes[0].mark,
        changes[-1].mark,
        changes[0].hour,
        replaces,
        frozenset(change.day for change in changes if change.day is not None),
    )
