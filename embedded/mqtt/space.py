"""The sessions of one device, which share limits."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedded.mqtt.outbox import Outbox
    from embedded.mqtt.session import Session

MAX_ABSENT = 100
"""How many sessions of a device are kept whose clients are away. Of more, the one longest away is forgotten."""
MAX_HELD_BYTES = 16_000_000
"""How many bytes the unacknowledged messages of all sessions of a device may have. If there are more, the oldest of the
absent client that has most are dropped, and if there is none, the oldest of the client that gets one more."""

MAX_FILTERS = 10_000
"""How many filters all sessions of a device may have: each of its messages is compared with all of them."""


class Space:
    """The sessions of a device."""

    def __init__(self) -> None:
        self.sessions: set[Session] = set()
        self.listening: set[Session] = set()
        """Those that subscribe to something."""
        self.absent: dict[Session, None] = {}
        """Those whose clients are away, the longest away first."""
        self.filters = 0
        """How many filters its sessions have together."""
        self.held_bytes = 0

    def trim(self, session: "Outbox") -> None:
        """Drop messages while they have too many bytes, after ``session`` got one. Raises errors.Unavailable."""
        while (excess_bytes := self.held_bytes - MAX_HELD_BYTES) > 0:
            heaviest: Outbox = max(self.absent, key=lambda absent: absent.held_bytes, default=session)
            if not heaviest.drop_oldest(excess_bytes) and not session.drop_oldest(excess_bytes):
                return
