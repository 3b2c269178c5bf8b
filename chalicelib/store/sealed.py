"""The part of the store's Protocol for sealed segments."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from chalicelib.codec.keys import LATEST_MS
from chalicelib.codec.segment import SealedItem

ABSENT = 0
"""As a version: no such entity may exist."""


class SealedStore(Protocol):
    """Stores sealed segments."""

    keeps_originals: bool
    """Whether small segments stay for a while when they are sealed. Then only immutable devices may be sealed."""

    def sealed_to(self, device: str) -> str:
        """Return a key that no sealed segment of the device passes; empty if it has none. Cost: at most a local read.

        On DynamoDB only the clock is asked, so a device may have none.
        """

    def scan_sealed(
        self,
        device: str,
        low: str,
        high: str,
        *,
        newest_first: bool,
        first_page: int,
        oldest_to_ms: int = LATEST_MS,
        has_bodies: bool = True,
    ) -> Iterator[SealedItem]:
        """Yield the sealed segments with low <= key <= high in order of key; see ``scan_segments``.

        Args:
            device: the owner of the segments.
            low: lowest key.
            high: highest key.
            newest_first: falling order.
            first_page: how many to fetch at first.
            oldest_to_ms: leave out those whose oldest point is newer.
            has_bodies: False: the bodies may be empty, which makes the call cheaper on SQLite.
        """

    def count_sealed(self, device: str, low: str, high: str, *, oldest_from_ms: int) -> int | None:
        """Return how many points the sealed segments with low <= key <= high have whose oldest point is not older.

        Returns:
            None: some of their small segments are not deleted yet. Only DynamoDB has such.
        """

    def sealed_at(self, device: str, key: str) -> SealedItem | None:
        """Return the sealed segment whose range holds the key. Cost: one read."""

    def seal(
        self,
        items: Sequence[SealedItem],
        originals: Sequence[tuple[str, int]],
        *,
        profile: str,
        gone: Sequence[tuple[str, int]] = (),
        epoch: int = ABSENT,
    ) -> bool:
        """Put sealed segments in place of small ones, all or none.

        Args:
            items: of one device. One of version 1 is new; any other replaces that of the version before.
            originals: keys and versions of the small segments that are in them. SQLite deletes them in the same
                transaction; DynamoDB leaves them.
            profile: the profile of the device.
            gone: keys and versions of the sealed segments that the items replace under other keys.
            epoch: DynamoDB: the version that the device's ``names.sealing`` entity must have.

        Returns:
            Whether they were put. False: something was changed meanwhile.
        """

    def raise_epoch(self, device: str) -> None:
        """Let every seal fail that has begun. SQLite: nothing, as a seal is one transaction. Cost: one write."""

    def replace_sealed(self, item: SealedItem, *, profile: str) -> bool:
        """Replace a sealed segment if its version is one less than ``item.version``; see ``replace_segment``."""

    def delete_sealed(self, item: SealedItem, *, profile: str) -> bool:
        """Delete a sealed segment if it still has the version of ``item``. Return whether it is gone now."""
