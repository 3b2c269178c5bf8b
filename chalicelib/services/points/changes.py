"""Changes one segment, small or sealed: it is written only if it still has the version that was read."""

from chalicelib import store
from chalicelib.codec import sealing, segments
from chalicelib.codec.sealed import Sealed
from chalicelib.codec.sealing import Contents
from chalicelib.codec.segment import Draft, Segment
from chalicelib.store import Doc


class Change:
    """A segment that is being changed.

    Args:
        segment: as it was read. A small one is changed itself.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._held = Contents.of(segment) if isinstance(segment, Sealed) else None
        self._max_bytes = 2 * sealing.MAX_BODY_BYTES
        """What removes a point may make a sealed segment a little larger, and must not fail. Only SQLite has such."""

    def put(self, home: str, draft: Draft) -> None:
        """Make ``draft`` the point at a place, whether that exists, was removed, or was moved away.

        Args:
            home: the key of its request, and its index there.
            draft: of the hour of the request, and not newer than its key.
        """
        if self._held is None:
            self._segment.put(_index(home), draft)
        else:
            self._held.put(home, draft)
            self._max_bytes = sealing.MAX_BODY_BYTES

    def kill(self, home: str) -> None:
        """Remove the point at a place."""
        if self._held is None:
            self._segment.kill(_index(home))
        else:
            self._held.kill(home)

    def move(self, point_id: str, key: str) -> None:
        """Note that the point, whose id names this segment, is in the segment ``key`` now."""
        if self._held is None:
            self._segment.kill(_index(point_id), forward=key)
        else:
            self._held.move(point_id, key)

    def store(self, device: Doc, *, expires_at: int | None = None) -> bool:
        """Store the changed segment as its next version; without points and forwarding marks, delete it.

        Args:
            device: the owner.
            expires_at: when it expires. None: never, as an edited device is mutable now, whatever it was before.

        Returns:
            False: the segment was changed meanwhile, and nothing is stored.

        Raises:
            ValueError: it does not fit into an item of the store.

        Cost: one write.
        """
        if self._held is None:
            return self._store_small(device, expires_at)
        self._held.forget_requests()
        old = self._segment
        assert isinstance(old, Sealed)  # noqa: S101 - only a sealed one has contents
        item = sealing.encode(
            old.device, old.low, old.key, self._held,
            version=old.version + 1, expires_at=expires_at, max_bytes=self._max_bytes,
        )  # fmt: skip
        if self._held.rows or self._held.moves:
            return store.current().replace_sealed(item, profile=device["profile"])
        return store.current().delete_sealed(item._replace(version=old.version), profile=device["profile"])

    def _store_small(self, device: Doc, expires_at: int | None) -> bool:
        segment = self._segment
        segment.expires_at = expires_at
        item = segments.encode(segment)
        if segment.points or segment.forwards:
            item = item._replace(version=item.version + 1)
            if not store.current().replace_segment(item, profile=device["profile"]):
                return False
            segment.version = item.version
            return True
        return store.current().delete_segment(item, profile=device["profile"])


def _index(home: str) -> int:
    return int(home[20:], 16)
