"""What Decant keeps, behind one small Protocol. ``dynamodb.py`` and ``sqlite.py`` answer it alike."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from chalicelib.codec.segments import Item
from chalicelib.host.slot import Slot

Doc = dict[str, Any]
ABSENT = 0
"""As the version of ``put_if``: nothing may be there."""


class Entity(NamedTuple):
    """A named document of an owner. ``names`` lists all there are."""

    owner: str
    name: str
    doc: Doc
    version: int = 1
    expires_at: int | None = None
    """Seconds since 1970. From then on the entity does not exist any more. None: it never expires."""


class Conflict(NamedTuple):
    """A conditional write that was refused."""

    existing: Entity | None
    """The entity that is there instead; None if it was deleted meanwhile."""


class Counters(NamedTuple):
    """What a device or a profile has sent and stored."""

    points_in: int
    """Points ever sent and stored. Those of a profile include deleted devices."""
    records: int
    """Points that exist now."""
    last_input_ms: int | None
    """When something was last sent."""


class Store(Protocol):
    """A place for segments and entities.

    What has expired is invisible here, whether or not it was removed yet. Every call is strongly consistent with what
    was acknowledged before, unless ``is_consistent`` is false. Any call may raise ``errors.Unavailable``; it is then
    safe to repeat.
    """

    is_exclusive: bool
    """Whether no other process writes to it."""

    def put_segments(self, items: Sequence[Item], *, profile: str, now_ms: int) -> Mapping[int, Item]:
        """Put each item whose key is free. Cost: one conditional write an item, no read.

        Returns:
            The items that were there already, by the index of the item that was refused. Empty: all were put.
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
            first_page: how many to fetch at first. Larger pages follow, only when the caller asks for more.
        """

    def count_points(self, device: str, low: str, high: str) -> int:
        """Return the number of points in the segments with low <= key <= high."""

    def replace_segment(self, item: Item, *, profile: str) -> bool:
        """Replace the segment whose version is one less than ``item.version``. Return whether there was one."""

    def delete_segment(self, item: Item, *, profile: str) -> bool:
        """Delete the segment if it still has the version of ``item``. Return whether it had."""

    def drop_segments(self, device: str, low: str, high: str, *, profile: str) -> int:
        """Delete every segment with low <= key <= high, in batches. Return how many points that were. Repeatable."""

    def get(self, owner: str, name: str, *, is_consistent: bool = True) -> Entity | None:
        """Return one entity. Cost: one read; half a read if not consistent.

        An inconsistent read may return the entity as it was a moment ago. It never misses one that is there.
        """

    def put(self, entity: Entity) -> None:
        """Put an entity, whatever was there before."""

    def put_if(self, entity: Entity, *, version: int) -> Conflict | None:
        """Put an entity if the existing one has this version; ABSENT means that none may exist.

        Returns:
            The conflict if the entity was not put.
        """

    def delete(self, owner: str, names: Sequence[str]) -> None:
        """Delete entities of one owner. Absent ones are no error."""

    def list(self, owner: str, prefix: str) -> list[Entity]:
        """Return the owner's entities whose name starts with ``prefix``, in order of name."""

    def counters(self, profile: str, device: str | None = None) -> Counters:
        """Return the counters of a device; without a device those of the profile, deleted devices included."""

    def touch(self, device: str, *, profile: str, now_ms: int) -> None:
        """Note that the device sent something of which nothing was stored."""

    def forget_counters(self, device: str, *, profile: str) -> None:
        """Remove the counters of a deleted device. The profile's stay as they are."""


def _on_dynamodb() -> Store:
    from chalicelib.store.dynamodb import DynamoStore

    return DynamoStore()


_slot = Slot(_on_dynamodb)
current, use = _slot.current, _slot.use
