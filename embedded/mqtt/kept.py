"""Writes sessions to the database, so that they survive the process, and reads them at the start.

What is written is safe after the commit. Until then no message leaves whose packet id is new: a client that has seen an
id of QoS 2 which the broker forgot would take the next message with it for a retry, and lose it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from chalicelib import errors
from chalicelib.host import clock
from chalicelib.store.sqlite_mqtt import MessageRow, MqttTables, SessionRow
from embedded.commits import GroupCommit
from embedded.mqtt.bodies import Bodies
from embedded.mqtt.outbox import Delivery, Outbox
from embedded.mqtt.packets import Message
from embedded.mqtt.session import Session
from embedded.mqtt.subscriptions import subscribed

_SHARED_BYTES = 4_096
"""From this size on, a payload is written once, however many sessions have it."""
_SHARE_S = 0.002
"""For how long messages of ended sessions are deleted at a time, and how long others have the loop then."""


class Kept:
    """What is kept of sessions. A session that has nothing to keep is not written.

    All calls raise ``errors.Unavailable`` if the store is down, and then change nothing.

    Args:
        tables: the tables of the store.
        commits: the group commit.
        undone: called with each session whose writes a failed commit has undone. What the database has is true then.
    """

    def __init__(self, tables: MqttTables, commits: GroupCommit, undone: Callable[[Outbox], None]) -> None:
        self._tables, self._commits, self._undone = tables, commits, undone
        self._last_row = 0
        self._bodies = Bodies(tables)
        self._ended: deque[int] = deque()
        """Ids in the database of sessions that were deleted, and whose messages were not."""
        self._clearing: asyncio.Handle | None = None
        self._group = -1
        self._changed: dict[Outbox, list[int]] = {}
        """The sessions that the open transaction changes, with the packet ids that are sent after its commit."""

    def rows(self) -> list[SessionRow]:
        """Return the sessions that the database has. Call it before anything is written."""
        rows = self._tables.sessions()
        self._ended.extend(self._tables.lost_sessions())
        self._last_row = max([0, *self._ended, *(row.id for row in rows)])
        self._bodies.count()
        return rows

    def row_of(self, session: Outbox) -> SessionRow | None:
        """Return what the database has of a session."""
        return self._tables.session(session.device, session.client_id)

    def fill(self, session: Session, row: SessionRow) -> None:
        """Give a new session all that the database has of it."""
        session.row, session.expiry_s = row.id, row.expiry_s
        subscriptions = {one[0]: subscribed(*one) for one in orjson.loads(row.subscriptions)}
        session.restore(self._deliveries(row.id), self._tables.received(row.id), subscriptions)

    def _deliveries(self, row: int) -> Iterator[tuple[int, Delivery]]:
        for found in self._tables.messages(row):
            identifiers = tuple(orjson.loads(found.identifiers)) if found.identifiers else ()
            payload = self._bodies.read(found.body) if found.body else found.payload
            message = Message(
                found.topic, payload, found.qos, found.properties, bool(found.is_retained), found.expires_ms
            )
            delivery = Delivery(
                found.id, message, found.qos, is_retained=bool(found.is_retained), identifiers=identifiers
            )
            delivery.body = found.body
            if found.is_released:
                delivery.empty()
            yield found.packet_id, delivery

    def _note(self, session: Outbox) -> list[int]:
        """Note that the open transaction changes a session, after a write; return the ids to be sent afterwards."""
        if self._group != self._commits.newest:
            self._group, self._changed = self._commits.newest, {}
            changed = self._changed
            self._commits.settle(lambda is_kept: self._settled(changed, is_kept), is_alone=False)
        return self._changed.setdefault(session, [])

    def _settled(self, changed: dict[Outbox, list[int]], is_kept: bool) -> None:
        if not is_kept:
            with contextlib.suppress(errors.Unavailable):
                self._bodies.count()
        for session, packet_ids in changed.items():
            if is_kept:
                session.flush(packet_ids)
            else:
                self._undone(session)

    def put(self, session: Outbox, ends_ms: int | None = None) -> None:
        """Write a session: its subscriptions, and when it is forgotten; None: its client is connected."""
        row = session.row or self._last_row + 1
        subscriptions: list[Any] = [[name, *options[:-1]] for name, options in session.subscriptions.items()]
        self._tables.put_session(
            SessionRow(
                row, session.device, session.client_id, session.expiry_s, ends_ms, orjson.dumps(subscriptions).decode()
            )
        )
        self._last_row, session.row = max(row, self._last_row), row
        self._note(session)

    def _own_row(self, session: Outbox) -> int:
        """Return the id of a session in the database, which it has from now on."""
        if not session.row:
            self.put(session, None if session.ends_s is None else clock.now_ms() + 1_000 * session.expiry_s)
        return session.row

    def forget(self, session: Outbox, row: int) -> None:
        """Delete a session with its id in the database; 0: it is not there."""
        if row:
            self.end(row)
            self._note(session)

    def forget_device(self, device: str) -> None:
        """Delete the sessions of a device and its retained messages."""
        for row in self._tables.sessions_of(device):
            self.end(row)
        self._tables.unretain_all(device)

    def end(self, row: int) -> None:
        """Delete a session by its id in the database. Its messages are deleted a little at a time."""
        self._tables.delete_session(row)
        self._ended.append(row)
        self.go_on()

    def go_on(self) -> None:
        """Delete messages of ended sessions, if there are any, as soon as others have had their turn."""
        if self._ended and self._clearing is None:
            self._clearing = asyncio.get_running_loop().call_soon(self._clear)

    def _clear(self) -> None:
        self._clearing = None
        until_s = clock.monotonic_s() + _SHARE_S
        with contextlib.suppress(errors.Unavailable):
            while self._ended and clock.monotonic_s() < until_s:
                is_done, bodies = self._tables.clear(self._ended[0])
                for body in bodies:
                    self._bodies.leave(body)
                if is_done:
                    self._ended.popleft()
            if self._ended:
                self._clearing = asyncio.get_running_loop().call_later(_SHARE_S, self._clear)

    def add(self, session: Outbox, delivery: Delivery, packet_id: int) -> None:
        """Write a message, which is sent with a packet id after the commit; 0: it waits."""
        message, row = delivery.message, self._own_row(session)
        identifiers = orjson.dumps(delivery.identifiers).decode() if delivery.identifiers else ""
        payload = message.payload
        if len(payload) >= _SHARED_BYTES:
            delivery.body, payload = self._bodies.share(payload), b""
        written = MessageRow(
            row, delivery.number, packet_id, delivery.qos, 0, delivery.is_retained, identifiers, message.expires_ms,
            message.topic, message.properties, payload, delivery.body,
        )  # fmt: skip
        self._tables.add_message(written)
        self._note(session)

    def send_later(self, session: Outbox, packet_id: int) -> None:
        """Send a message whose packet id was just written, after the commit."""
        self._note(session).append(packet_id)

    def assign(self, session: Outbox, delivery: Delivery, packet_id: int) -> None:
        """Write the packet id of a message that has waited."""
        self._tables.set_packet_id(session.row, delivery.number, packet_id)
        self._note(session)

    def release(self, session: Outbox, delivery: Delivery) -> None:
        """Note that the client has a message of QoS 2."""
        self._tables.release(session.row, delivery.number)
        self._leave_body(delivery)
        self._note(session)

    def delete(self, session: Outbox, deliveries: Sequence[Delivery]) -> None:
        """Delete messages that are dealt with. The session has none between the first and the last of them."""
        self._tables.delete_messages(session.row, deliveries[0].number, deliveries[-1].number)
        for delivery in deliveries:
            self._leave_body(delivery)
        self._note(session)

    def _leave_body(self, delivery: Delivery) -> None:
        if delivery.body:
            self._bodies.leave(delivery.body)
            delivery.body = 0

    def receive(self, session: Outbox, packet_id: int) -> None:
        """Note that a message of QoS 2 was accepted."""
        self._tables.add_received(self._own_row(session), packet_id)
        self._note(session)

    def release_received(self, session: Outbox, packet_id: int) -> None:
        """Note that the client has released a message of QoS 2."""
        self._tables.delete_received(session.row, packet_id)
        self._note(session)
