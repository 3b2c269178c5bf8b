"""What is kept, behind one small Protocol that ``dynamodb.py`` and ``sqlite.py`` answer alike."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from chalicelib.codec.segments import Item

Doc = dict[str, Any]
ANY = -1
"""As an expected version: whatever is there, or nothing."""
ABSENT = 0
"""As an expected version: nothing may be there."""


class Entity(NamedTuple):
    """A named document of an owner: a profile, a device, a token, a parameter, a directory."""

    owner: str
    """Partition, such as ``profile#<id>`` or ``device#<id>``."""
    name: str
    """Sorts within the owner, such as ``token#<sha256>``."""
    doc: Doc
    version: int = 1
    expires_at: int | None = None
    """Seconds since 1970 after which it does not exist any more, or None."""


class Counters(NamedTuple):
    """What a device or a profile has sent and stored."""

    points_in: int
    """Points ever sent and stored; the profile's include those of deleted devices."""
    records: int
    """Points alive."""
    last_input_ms: int | None
    """When something was last sent."""


class Store(Protocol):
    """A place for segments and entities.

    Whatever has expired is invisible here, whether or not it was removed yet. Every call but ``peek`` is
    strongly consistent with what was acknowledged before. Any call may raise ``errors.Unavailable``; it is then safe
    to repeat.
    """

    is_exclusive: bool
    """Whether no other process writes to it."""

    def put_segments(self, items: Sequence[Item], *, profile: str, now_ms: int) -> list[Item | None]:
        """Put each item where none stands yet. Return for each None when put, else the item that stands there.

        Cost: one conditional write an item, no read.
        """

    def get_segment(self, device: str, key: str) -> Item | None:
        """Return one segment. Cost: one read."""

    def scan_segments(self, device: str, low: str, high: str, *, newest_first: bool, first_page: int) -> Iterator[Item]:
        """Yield the segments with low <= key <= high in order of key.

        Args:
            device: whose segments.
            low: lowest key.
            high: highest key.
            newest_first: falling order.
            first_page: how many to fetch at first; what follows comes in large pages, only as it is asked for.
        """

    def count_points(self, device: str, low: str, high: str) -> int:
        """Add up the points of the segments with low <= key <= high."""

    def replace_segment(self, item: Item, *, profile: str) -> bool:
        """Replace the segment whose version is one less than ``item.version``; return False if there is none."""

    def delete_segment(self, item: Item, *, profile: str) -> bool:
        """Delete the segment if it still has the version of ``item``."""

    def drop_segments(self, device: str, low: str, high: str, *, profile: str) -> int:
        """Delete every segment with low <= key <= high, in batches; return how many points went. Can be repeated."""

    def get(self, owner: str, name: str) -> Entity | None:
        """Return one entity. Cost: one read."""

    def peek(self, owner: str, name: str) -> Entity | None:
        """Return one entity, perhaps as it was a moment ago, but never miss one that is there. Cost: half a read."""

    def put(self, entity: Entity, *, expected: int = ANY) -> Entity | None:
        """Put an entity if the one there has the version ``expected``.

        Returns:
            None when it was put; else the entity that stands there (or, if it went away meanwhile, ``entity``).
        """

    def delete(self, owner: str, names: Sequence[str]) -> None:
        """Delete entities of one owner; absent ones are no error."""

    def list(self, owner: str, prefix: str) -> list[Entity]:
        """Return the owner's entities whose name starts with ``prefix``, by name."""

    def counters(self, profile: str, device: str | None = None) -> Counters:
        """Return the counters of a device, or of all that the profile has and had."""

    def touch(self, device: str, *, profile: str, now_ms: int) -> None:
        """Note that the device sent something of which nothing was stored."""

    def forget_counters(self, device: str, *, profile: str) -> None:
        """Remove the counters of a device that is gone; the profile's stay as they are."""


class Sum(NamedTuple):
    """What some changes of one device came to."""

    device: str
    profile: str
    points_in: int
    """Points that a client sent: what an edit moved is none."""
    records: int
    """Points more, or fewer, that are alive."""
    last_input_ms: int | None
    first: str
    """Sequence of the first of the changes, padded so that texts sort as numbers do."""
    sequence: str
    """The same of the last."""


class CounterStore(Protocol):
    """Where sums are added up."""

    def add_sum(self, added: Sum) -> str | None:
        """Add to the counters of the device unless they hold changes from ``added.first`` on already.

        Returns:
            None when it was added, else the sequence up to which they hold changes.
        """


_current: list[Store] = []


def current() -> Store:
    """Return the store of this process; the first call in Lambda makes the one on DynamoDB."""
    if not _current:
        from chalicelib.store.dynamodb import DynamoStore

        _current.append(DynamoStore())
    return _current[0]


def use(store: Store | None) -> None:
    """Set, or with None forget, the store of this process."""
    _current[:] = [] if store is None else [store]
