"""The store: one small Protocol, which ``dynamodb.py`` and ``sqlite.py`` implement alike."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from chalicelib.codec.segment import Item
from chalicelib.host.slot import Slot
from chalicelib.store.sealed import ABSENT as ABSENT
from chalicelib.store.sealed import SealedStore

Doc = dict[str, Any]


class Entity(NamedTuple):
    """A named document of an owner. ``store.names`` lists all kinds of them."""

    owner: str
    name: str
    doc: Doc
    version: int = 1
    expires_at: int | None = None
    """Seconds since 1970. From then on the entity does not exist. None: it never expires."""


class Conflict(NamedTuple):
    """The refusal of a conditional write."""

    existing: Entity | None
    """The entity that exists instead; None if it was deleted meanwhile."""


class Counters(NamedTuple):
    """The counters of a device or a profile."""

    points_in: int
    """How many points were ever sent and stored. A profile's number includes deleted devices."""
    records: int
    """How many points exist now."""
    last_input_ms: int | None
    """When a device last sent something, in milliseconds since 1970; None: never."""


class Usage(NamedTuple):
    """What a device or a profile has used in the current calendar month, UTC, and what it has now."""

    points_in: int = 0
    """How many points were stored for clients in this month."""
    points_out: int = 0
    """How many points reads have returned in this month."""
    records: int = 0
    """How many points exist now."""
    last_input_ms: int | None = None
    """When a device last sent something, in milliseconds since 1970; None: never."""
    last_output_ms: int | None = None
    """When points were last read."""


class Totals(NamedTuple):
    """What a device or a profile had used since ever when an hour began."""

    hour: int
    """Hours since 1970."""
    points_in: int
    points_out: int
    records: int
    """How many points existed."""


class Delta(NamedTuple):
    """The sum of some changes of one device, to be added to its counters."""

    device: str
    profile: str
    points_in: int
    """How many points clients sent. An edit that moves a point sends none."""
    records: int
    """How many points were created, less how many were removed."""
    last_input_ms: int | None
    first: str
    """Mark of the first change: ``"<label of the stream> <sequence number of 40 digits>"``. Marks sort as text."""
    last: str
    """Mark of the last change."""
    hour: int
    """When the changes were made, in hours since 1970."""
    replaces: str | None = None
    """The mark that the counters must have now. None: any mark before ``first``, or none."""
    days: frozenset[int] = frozenset()
    """The UTC days, since 1970, that have new segments which should be sealed."""


class Counted(NamedTuple):
    """What the counters of a device include already."""

    mark: str
    """Mark of the last change. An earlier version wrote only the sequence number, of 40 digits."""
    last_input_ms: int | None


class Rejected(Exception):
    """The store will never accept a write, so a retry does not help. The text is the store's reason."""


class Store(SealedStore, Protocol):
    """Stores segments and entities.

    Expired entities are invisible, even if they were not removed yet. Segments are visible until they are removed; the
    reader must know which are kept. A read sees every write that was acknowledged before, unless ``is_consistent`` is
    false. Any call may raise ``errors.Unavailable``; the caller may then repeat it safely.
    """

    is_exclusive: bool
    """Whether no other process writes to the store."""
    kind: str
    """The name of the database: ``sqlite`` or ``dynamodb``."""

    def can_write(self) -> bool:
        """Read something, and return whether writes would work too. Cost: half a read."""

    def unit(self) -> AbstractContextManager[object]:
        """Make the writes of a block one unit: if the block raises, the store undoes them and no other writes.

        SQLite does. DynamoDB cannot: services use ``write_all`` there, or an order of writes in which a part of them
        does no harm.
        """

    def put_segments(
        self, items: Sequence[Item], *, profile: str, now_ms: int, is_import: bool = False
    ) -> Mapping[int, Item]:
        """Put each item whose key is free. Cost: one conditional write an item, no read.

        Args:
            items: the segments, of one device.
            profile: the device's profile.
            now_ms: when they were sent, in milliseconds since 1970.
            is_import: whether they come from a file. If so, they do not count as input.

        Returns:
            The existing items that have a key already, by the index of the refused item. Empty: all were put.
        """

    def get_segment(self, device: str, key: str) -> Item | None:
        """Return one segment. Cost: one read."""

    def scan_segments(self, device: str, low: str, high: str, *, newest_first: bool, first_page: int) -> Iterator[Item]:
        """Yield the segments with low <= key <= high in order of key.

        Args:
            device: the owner of the segments.
            low: lowest key.
            high: highest key.
            newest_first: falling order.
            first_page: how many segments to fetch at first. Larger pages follow only when the caller asks for more.
        """

    def count_points(self, device: str, low: str, high: str) -> int:
        """Return the number of points in the segments with low <= key <= high."""

    def replace_segment(self, item: Item, *, profile: str) -> bool:
        """Replace the segment if its version is one less than ``item.version``. Return whether ``item`` is stored now.

        If the very same item is there already, a try whose answer was lost may have put it.
        """

    def delete_segment(self, item: Item, *, profile: str) -> bool:
        """Delete the segment if it still has the version of ``item``. Return whether it is gone now."""

    def drop_segments(self, device: str, low: str, high: str, *, profile: str) -> int:
        """Delete every segment with low <= key <= high, sealed or not, in batches; return how many points.

        A retry resumes.
        """

    def set_expiry(self, device: str, key: str, expires_at: int | None, *, is_sealed: bool = False) -> None:
        """Change only ``expires_at`` of a segment. Nothing happens if the segment does not exist. Cost: one write."""

    def get(self, owner: str, name: str, *, is_consistent: bool = True) -> Entity | None:
        """Return one entity. Cost: one read; half a read if not consistent.

        An inconsistent read may return the entity as it was a moment ago. It never misses an entity that exists.
        """

    def put(self, entity: Entity) -> None:
        """Put an entity. It replaces an existing one."""

    def put_if(self, entity: Entity, *, version: int) -> Conflict | None:
        """Put an entity if the existing one has this version; ABSENT means that none may exist.

        If the very same entity is there already, that is no conflict: a try whose answer was lost may have put it.

        Returns:
            The conflict if the entity was not put.
        """

    def write_all(self, puts: Sequence[Entity], deletes: Sequence[tuple[str, str]] = ()) -> bool:
        """Put and delete entities, all of them or none. At most 100, each another one, and at least one.

        Cost: on DynamoDB one transaction, which bills each write twice; a lone put is billed once.

        Args:
            puts: each replaces the one of the version before, so 1 means that none may exist.
            deletes: owners and names. It is no error if one does not exist.

        Returns:
            Whether they were written. False: an entity has another version, or another process is changing it.
        """

    def delete(self, owner: str, names: Sequence[str]) -> None:
        """Delete entities of one owner. It is no error if one does not exist."""

    def list(self, owner: str, prefix: str) -> list[Entity]:
        """Return the owner's entities whose name starts with ``prefix``, in order of name."""

    def count(self, owner: str, prefix: str) -> int:
        """Return how many entities of the owner have a name that starts with ``prefix``. It may be a moment old.

        Cost: on DynamoDB half a read for 4 kB of entities, which are not sent.
        """

    def newest(self, owner: str, low: str, high: str, *, first_page: int) -> Iterator[Entity]:
        """Yield the owner's entities with low <= name <= high, the highest name first.

        Args:
            owner: from ``names``.
            low: lowest name; not empty.
            high: highest name.
            first_page: how many entities to fetch at first. More follow only when the caller asks for more.
        """

    def counters(self, profile: str, device: str | None = None) -> Counters:
        """Return the counters of a device or, without a device, of the profile, deleted devices included."""

    def usage(self, profile: str, device: str | None = None) -> Usage:
        """Return what a device or, without a device, the profile has used. Cost: on DynamoDB one read."""

    def history(self, profile: str, device: str | None, low: int, high: int) -> Sequence[Totals]:
        """Return the totals at the beginning of hours, in rising order.

        Args:
            profile: the profile.
            device: one of its devices; None: the profile's own totals.
            low: the first hour, in hours since 1970.
            high: the last hour.

        Returns:
            Only hours in which something changed: before and between them, nothing did. The last one is the first after
            ``high`` or, if there is none, what is used now. Hours are kept for 14 months.
        """

    def add_output(self, profile: str, device: str | None, points: int, last_ms: int) -> None:
        """Add points that were read to the output of a device or, without a device, of the profile.

        Args:
            profile: the profile.
            device: one of its devices; None: the profile itself.
            points: how many.
            last_ms: when the last of them were read.

        Cost: on DynamoDB one update, and in each hour one write more.
        """

    def balance(self, profile: str) -> bool:
        """Make what a profile has and ever sent the sum over its devices; return whether it was wrong.

        Cost: on DynamoDB two reads and a query of the devices' counters, and a write if something was wrong. On SQLite
        they cannot differ.
        """

    def touch(self, device: str, *, profile: str, now_ms: int) -> None:
        """Note that the device sent something, although no point of it was stored."""

    def forget_counters(self, device: str, *, profile: str) -> None:
        """Remove the counters of a deleted device. Its points stay counted in the profile's ``points_in``.

        An empty device means the counters of a deleted profile itself.
        """


def _on_dynamodb() -> Store:
    from chalicelib.store.dynamodb import DynamoStore

    return DynamoStore()


class _Here(threading.local):
    store: Store | None = None


_here = _Here()
_slot = Slot(_on_dynamodb)
use = _slot.use


def current() -> Store:
    """Return the store of this thread, else that of the process."""
    return _here.store or _slot.current()


@contextlib.contextmanager
def using(store: Store) -> Iterator[None]:
    """Use another store in this thread."""
    _here.store = store
    try:
        yield
    finally:
        _here.store = None
