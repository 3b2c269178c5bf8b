"""Counts the small segments that wait to be sealed, by device and span of 3.1 days. In memory only."""

from collections.abc import Iterator

SPAN_CHARS = 5
"""The first hex digits of a key, which name a span of 3.1 days."""
MOST_SPANS = 400
"""How many spans of a device are counted: some three years. More are not, so that no device fills the memory."""
Place = tuple[str, str]
"""A device, and a span."""


class Waiting:
    """Knows where small segments wait.

    Args:
        ripe: how many of them in a place are worth sealing at once.
    """

    def __init__(self, ripe: int) -> None:
        self._ripe_from, self._counts = ripe, dict[str, dict[str, int]]()
        self._ripe: set[Place] = set()
        self.total = 0
        """How many wait."""
        self.oldest = "~"
        """The lowest span in which one was put since this was last set to ``~``, which sorts after all."""

    def note(self, device: str, key: str) -> None:
        """Note that a small segment was put. Cost: below 1 µs."""
        span, spans = key[:SPAN_CHARS], self._counts.setdefault(device, {})
        count = spans.get(span, 0)
        if count == 0 and len(spans) >= MOST_SPANS:
            return
        spans[span] = count + 1
        self.total += 1
        self.oldest = min(self.oldest, span)
        if count + 1 == self._ripe_from:
            self._ripe.add((device, span))

    def take_ripe(self, least: int) -> list[Place]:
        """Return the places in which at least so many wait, not fewer than are worth it, and forget these."""
        taken = [(device, span) for device, span in self._ripe if self._counts[device][span] >= least]
        for place in taken:
            self._forget(*place)
        return taken

    def take_all(self) -> Iterator[Place]:
        """Yield all places, and forget each. Others may be noted meanwhile."""
        for device in [*self._counts]:
            for span in [*self._counts.get(device, ())]:
                self._forget(device, span)
                yield device, span

    def _forget(self, device: str, span: str) -> None:
        spans = self._counts[device]
        self.total -= spans.pop(span)
        self._ripe.discard((device, span))
        if not spans:
            del self._counts[device]
