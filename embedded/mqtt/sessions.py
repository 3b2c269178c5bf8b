"""All sessions of the broker: who is connected, who is away for how long, and what the database has of them."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from chalicelib import errors
from chalicelib.host import clock
from chalicelib.services.access.admission import Admission
from chalicelib.store.sqlite_mqtt import MqttTables, SessionRow
from embedded.commits import GroupCommit
from embedded.mqtt import packets
from embedded.mqtt.kept import Kept
from embedded.mqtt.outbox import MAX_INFLIGHT, Outbox
from embedded.mqtt.packets import Connect
from embedded.mqtt.session import Session
from embedded.mqtt.space import MAX_ABSENT, Space
from embedded.mqtt.subscriptions import Match

PERSIST_S = 3_600
"""How long the broker keeps the session of a client that asks for it with a version before 5, as on AWS."""
MAX_PERSIST_S = 86_400
"""How long at most it keeps that of a client of version 5."""
MAX_SESSIONS = 20_000
"""How many sessions all devices may have together. If there are more, a session ends with its connection."""
_SHARE_S = 0.005
"""For how long expired sessions are deleted in one turn of the loop."""


class Client(Protocol):
    """The part of a connection that the broker needs."""

    heard_s: float
    """When the client was last heard of, in the time of the loop."""

    def close(self, reason: int) -> None:
        """End the connection."""

    def check(self, now_s: float) -> None:
        """End the connection if the client has been silent for too long."""


class Sessions:
    """All sessions.

    Args:
        tables: what the database has of them.
        commits: the group commit.
        now_s: the time of the event loop.
        ended: called with each session that is forgotten.
    """

    def __init__(
        self, tables: MqttTables, commits: GroupCommit, now_s: float, ended: Callable[[Session], None]
    ) -> None:
        self._ended = ended
        self.by_id: dict[tuple[str, str], Session] = {}
        """By device and client id."""
        self.spaces: dict[str, Space] = {}
        self.connected: dict[Session, Client] = {}
        self._kept = Kept(tables, commits, self._reload)
        self._now_s = now_s
        self._expired: deque[int] = deque()
        """Ids in the database of sessions that had expired when the process began."""
        now_ms = clock.now_ms()
        by_end = [(row.ends_ms or now_ms + 1_000 * row.expiry_s, row) for row in self._kept.rows()]
        for ends_ms, row in sorted(by_end, key=lambda found: found[0] - 1_000 * found[1].expiry_s):
            if ends_ms <= now_ms:
                self._expired.append(row.id)
            else:
                self._load(row, now_s + (ends_ms - now_ms) / 1_000)

    def _load(self, row: SessionRow, ends_s: float) -> Session:
        session = self._new(row.device, row.client_id)
        self._kept.fill(session, row)
        self._note_absent(session, ends_s - row.expiry_s)
        self.note_subscriptions(session)
        return session

    def _new(self, device: str, client_id: str) -> Session:
        space = self.spaces.setdefault(device, Space())
        session = self.by_id[device, client_id] = Session(device, client_id, space, self._kept)
        space.sessions.add(session)
        return session

    def open(self, client: Client, who: Admission, client_id: str, sent: Connect) -> tuple[Session, bool]:
        """Return the session of a client, and whether it was kept from before. Ends another connection that uses it.

        A token that may not subscribe cannot resume a session that subscribes to something.

        Raises:
            errors.Unavailable: the store is down.
        """
        session = self.by_id.get((who.device, client_id))
        if session is not None:
            other = self.connected.pop(session, None)
            if other is not None:
                session.end_connection(other.heard_s)
                other.close(packets.TAKEN_OVER)
            now_s = asyncio.get_running_loop().time()
            has_ended = not session.expiry_s or (session.ends_s is not None and session.ends_s <= now_s)
            if sent.is_clean or has_ended or (session.subscriptions and not who.may_subscribe):
                self.forget(session)
                session = None
        is_present = session is not None
        if session is None:
            session = self._new(who.device, client_id)
        session.version, session.expiry_s = sent.version, expiry_s(sent)
        session.max_inflight = min(MAX_INFLIGHT, sent.receive_maximum)
        session.max_packet_bytes = sent.max_packet_bytes
        if session.row:
            try:
                self._kept.put(session)
            except errors.Unavailable:
                self._note_absent(session, self._now_s)
                raise
        session.ends_s = None
        session.space.absent.pop(session, None)
        self.connected[session] = client
        return session, is_present

    def _note_absent(self, session: Session, now_s: float) -> None:
        session.ends_s = now_s + session.expiry_s
        session.space.absent[session] = None

    def leave(self, client: Client, session: Session, now_s: float) -> bool:
        """Note that a connection has ended. Its session is kept for as long as the client asked.

        Returns:
            False if another connection had the session already.
        """
        if self.connected.get(session) is not client:
            return False
        del self.connected[session]
        session.end_connection(client.heard_s)
        with contextlib.suppress(errors.Unavailable):  # then the database keeps it for longer
            if not session.expiry_s or len(self.by_id) > MAX_SESSIONS:
                self.forget(session)
                return True
            self._note_absent(session, now_s)
            if session.row:
                self._kept.put(session, clock.now_ms() + 1_000 * session.expiry_s)
            while len(session.space.absent) > MAX_ABSENT:
                self.forget(next(iter(session.space.absent)))
        return True

    @staticmethod
    def granted_s(wanted_s: int) -> int:
        """Return how long a session is kept whose client of version 5 wants this."""
        return min(wanted_s, MAX_PERSIST_S)

    def has(self, session: Session) -> bool:
        """Return whether a session has not ended."""
        return self.by_id.get((session.device, session.client_id)) is session

    def forget(self, session: Session) -> None:
        """End a session. It is gone, also if the call raises errors.Unavailable."""
        row = self._drop(session)
        self._ended(session)
        self._kept.forget(session, row)

    def _drop(self, session: Session) -> int:
        """Forget a session in memory. It writes nothing any more. Return its id in the database."""
        space, row = session.space, session.row
        if self.has(session):
            del self.by_id[session.device, session.client_id]
        space.absent.pop(session, None)
        space.listening.discard(session)
        space.held_bytes -= session.held_bytes
        space.filters -= len(session.subscriptions)
        space.sessions.discard(session)
        if not space.sessions:
            self.spaces.pop(session.device, None)
        session.held_bytes = session.row = session.expiry_s = 0
        session.write = None
        session.subscriptions.clear()
        return row

    def _reload(self, undone: Outbox) -> None:
        """Take what the database has of a client, as a failed commit has undone what was written of its session."""
        session = self.by_id.get((undone.device, undone.client_id))
        client, expiry_s = None, 0
        if session is not None:
            client, expiry_s = self.connected.pop(session, None), session.expiry_s
            self._drop(session)
        with contextlib.suppress(errors.Unavailable):
            row = self._kept.row_of(undone)
            if row is None and session is not None:  # nothing of it was ever kept
                row = SessionRow(0, session.device, session.client_id, expiry_s, None, "[]")
            if row is not None:
                loaded = self._load(row, self._now_s + row.expiry_s)
                loaded.parsing = session.parsing if session is not None else {}
        if client is not None:
            client.close(packets.UNAVAILABLE)

    def subscribe(self, session: Session, filters: list[tuple[str, int]], identifier: int) -> list[int]:
        """Add filters with their options; return the reason codes of SUBACK. Raises errors.Unavailable."""
        reasons = [session.subscribe(name, options, identifier) for name, options in filters]
        self._changed(session)
        return reasons

    def unsubscribe(self, session: Session, names: list[str]) -> list[int]:
        """Remove filters; return the reason codes of UNSUBACK. Raises errors.Unavailable."""
        reasons = [session.unsubscribe(name) for name in names]
        self._changed(session)
        return reasons

    def _changed(self, session: Session) -> None:
        self.note_subscriptions(session)
        if session.kept is not None:
            session.kept.put(session)

    def note_subscriptions(self, session: Session) -> None:
        """Note whether a session subscribes to anything, after its subscriptions have changed."""
        if session.subscriptions:
            session.space.listening.add(session)
        else:
            session.space.listening.discard(session)

    def matching(self, device: str, topic: str, origin: Session | None) -> list[tuple[Session, Match]]:
        """Return the sessions that want a message of a topic. Those that are kept come first: their writes may fail."""
        space = self.spaces.get(device)
        if space is None or not space.listening:
            return []
        found = [(session, session.match(topic, is_own=session is origin)) for session in space.listening]
        wanted = [(session, match) for session, match in found if match is not None]
        if len(wanted) > 1:
            wanted.sort(key=lambda one: one[0].kept is None)
        return wanted

    def sweep(self, now_s: float) -> None:
        """Forget expired sessions for a short time; the next call forgets the others. Raises errors.Unavailable."""
        self._now_s = now_s
        until_s = clock.monotonic_s() + _SHARE_S
        while self._expired and clock.monotonic_s() < until_s:
            self._kept.end(self._expired[0])
            self._expired.popleft()
        for session in list(self.by_id.values()):
            if session.ends_s is not None and session.ends_s <= now_s and clock.monotonic_s() < until_s:
                self.forget(session)
        self._kept.go_on()

    def forget_device(self, device: str) -> None:
        """End all sessions of a device, and delete what the database has of it. Raises errors.Unavailable."""
        space = self.spaces.get(device)
        for session in [*space.sessions] if space else ():
            client = self.connected.pop(session, None)
            self._drop(session)
            self._ended(session)
            if client is not None:
                client.close(packets.ADMINISTRATIVE)
        self._kept.forget_device(device)


def expiry_s(sent: Connect) -> int:
    """Return how long the session of a client is kept after its connection has ended."""
    if sent.version != packets.V5:
        return 0 if sent.is_clean else PERSIST_S
    return Sessions.granted_s(sent.expiry_s)
