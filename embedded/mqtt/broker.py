"""The broker: admits clients, stores their messages and delivers them.

As on AWS, ``admission.admit`` decides which clients may connect, and ``ingest`` decides which messages are
stored. Each device has a topic space of its own.
"""

import asyncio
import base64
import contextlib
import functools
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from chalicelib import errors
from chalicelib.codec import tokens
from chalicelib.host import clock, dead_letters, events, log
from chalicelib.services.access import admission
from chalicelib.services.access.admission import Admission
from chalicelib.services.devices import ingest, parsers
from chalicelib.services.devices.ingest import Pending
from embedded.commits import GroupCommit
from embedded.connections import Connections
from embedded.mqtt import packets
from embedded.mqtt.packets import Connect, Message, Will
from embedded.mqtt.rates import Rates
from embedded.mqtt.retained import Retained
from embedded.mqtt.rounds import Rounds
from embedded.mqtt.session import Session
from embedded.mqtt.sessions import Client, Sessions
from embedded.mqtt.subscriptions import Match
from embedded.workers import Workers

_logger = logging.getLogger(__name__)


class Broker:
    """All sessions and connections.

    Args:
        commits: the group commit; acknowledgements wait for it.
        connections: all connections of this process.
        workers: threads for payload parsers.
        is_quiet: returns whether no HTTP request is being answered.
    """

    def __init__(
        self,
        commits: GroupCommit,
        connections: Connections,
        workers: Workers,
        is_quiet: Callable[[], bool] = lambda: True,
    ) -> None:
        self.commits, self.connections = commits, connections
        self._workers, self._is_quiet = workers, is_quiet
        self.rates, self.rounds = Rates(), Rounds()
        self._prefix = secrets.token_hex(8)
        self.received = self.refused = 0
        """How many messages clients have published, and how many of them broke a rule or were over a quota."""
        self.opened: set[Client] = set()
        """Every connection, admitted or not."""
        self.clients: dict[Client, Admission] = {}
        """Every admitted connection, with what its token may do."""
        self.sessions = Sessions(commits.store.mqtt, commits, asyncio.get_running_loop().time(), self._forgotten)
        self._retained = Retained(commits.store.mqtt)
        self._wills: dict[Session, tuple[float, Admission, Will]] = {}
        """Wills of clients that are away, which are published at a time of the loop or when the session ends."""
        self._tasks: set[asyncio.Task[int]] = set()
        """Messages that wait for payload parsers."""
        self._queued: set[asyncio.Task[int]] = set()
        """Those of them whose parsers have not begun."""

    @property
    def is_alone(self) -> bool:
        """Whether no more than one client can be waiting for a commit."""
        return len(self.clients) <= 1 and self._is_quiet()

    def admit(self, sent: Connect) -> Admission | int:
        """Return the admission of a client, or the reason code of its refusal.

        Cost: that of ``admission.admit``.
        """
        password = (sent.password or b"").decode(errors="replace")
        bare = tokens.bare(password)
        if bare is None or not sent.username:
            return packets.BAD_PASSWORD
        # One id a token: this broker knows its connections itself, so each client may choose any client id.
        client_id = f"embedded-{tokens.fingerprint(bare)[:32]}"
        try:
            who = admission.admit(token=password, client_id=client_id, keep_s=None)
        except errors.Unavailable:
            return packets.UNAVAILABLE
        except errors.ApiError as error:
            self.refuse(type(error).__name__)
            who = None
        if who is None:
            return packets.BAD_PASSWORD
        return who if self.rates.take(who.profile, "connect") else packets.RATE_EXCEEDED

    def open(self, client: Client, who: Admission, sent: Connect) -> tuple[Session, bool]:
        """Return the client's session, and whether it was kept from before. Ends another connection that uses it.

        Raises:
            errors.Unavailable: the store is down.
        """
        client_id = sent.client_id or f"auto-{secrets.token_hex(8)}"
        session, is_present = self.sessions.open(client, who, client_id, sent)
        self._wills.pop(session, None)
        self.clients[client] = who
        events.current().seen(who.device, "[MQTT] Connected", client_id)
        return session, is_present

    def leave(self, client: Client, session: Session, now_s: float, will: Will | None = None) -> None:
        """Note that a connection has ended. Its session is kept for as long as the client asked.

        Args:
            client: the connection.
            session: its session.
            now_s: the time of the loop.
            will: is published now, or after its delay if the client is not back by then and its session has not ended;
                None: none. A client that may not publish has none either.
        """
        who = self.clients.pop(client, None)
        is_last = self.sessions.leave(client, session, now_s)
        if is_last:
            events.current().seen(session.device, "[MQTT] Disconnected", session.client_id)
        if will is None or who is None or not who.may_publish:
            return
        if not will.delay_s or not self.sessions.has(session):
            self._publish_will(who, session, will)
        elif is_last:
            self._wills[session] = (now_s + will.delay_s, who, will)

    def _forgotten(self, session: Session) -> None:
        for task in self._queued.intersection(session.parsing.values()):
            task.cancel()  # nothing is acknowledged, and the client sends it again in a new session
        if session in self._wills:
            _, who, will = self._wills.pop(session)
            self._publish_will(who, session, will)

    def _publish_will(self, who: Admission, session: Session, will: Will) -> None:
        now_ms = clock.now_ms()
        if who.expires_ms is not None and who.expires_ms <= now_ms:
            return  # the token may have expired while the will was delayed
        with contextlib.suppress(errors.Unavailable):
            self.accept(who, session, will.due(now_ms))

    def subscribe(self, session: Session, filters: list[tuple[str, int]], identifier: int = 0) -> list[int]:
        """Add filters with their options; return the reason codes of SUBACK. ``send_retained`` comes after SUBACK.

        Raises:
            errors.Unavailable: the store is down.
        """
        return self.sessions.subscribe(session, filters, identifier)

    def unsubscribe(self, session: Session, names: list[str]) -> list[int]:
        """Remove filters; return the reason codes of UNSUBACK. Raises errors.Unavailable."""
        return self.sessions.unsubscribe(session, names)

    def resume(self, client: Client, session: Session, write: Callable[[bytes], None]) -> None:
        """Send over a new connection what the client did not acknowledge, and what waits. Call it after CONNACK."""
        try:
            session.resume(write)
        except errors.Unavailable:
            client.close(packets.UNAVAILABLE)

    def send_retained(self, client: Client, session: Session) -> None:
        """Send the retained messages that match what a session has subscribed to since the last call."""
        asked, session.asked = session.asked, {}
        if not asked or client not in self.clients:
            return
        try:
            for message, match in self._retained.find(session.device, asked):
                self._send(session, self.clients[client].profile, message, match)
        except errors.Unavailable:
            client.close(packets.UNAVAILABLE)

    def sweep(self, now_s: float) -> None:
        """End silent connections, forget expired sessions, and send the messages that a new minute allows."""
        for client in list(self.opened):
            client.check(now_s)
        for session in [session for session, (due_s, _, _) in self._wills.items() if due_s <= now_s]:
            _, who, will = self._wills.pop(session)
            self._publish_will(who, session, will)
        with contextlib.suppress(errors.Unavailable):
            self.sessions.sweep(now_s)
            for session in list(self.sessions.connected):
                session.drain()

    def accept(self, who: Admission, session: Session, message: Message) -> asyncio.Task[int] | int:
        """Store a message if its topic is stored, and deliver it to the device's clients.

        Returns:
            The reason code of version 5: BAD_PAYLOAD if the message breaks a rule, QUOTA_EXCEEDED if a quota of the
            profile is used up; then it is kept as a dead letter. If the device has payload parsers: the task that
            returns it.

        Raises:
            errors.Unavailable: the store is down; the message must not be acknowledged. The task raises it too.
        """
        self.received += 1
        unique, arrived_ms = f"{self._prefix}-{self.received}", clock.now_ms()
        sender = who.profile, who.device
        received = ingest.Message(sender, who.client_id, message.topic, message.payload, arrived_ms, unique)
        try:
            added = ingest.begin(received)
            if isinstance(added, Pending):
                return self._start(self._parse(who, session, message, received, added))
            self._note(who, message, added)
            reason = packets.NORMAL
        except errors.Unavailable:
            raise
        except errors.ApiError as error:
            reason = self._refused(who, received, error)
        self.deliver(who.device, who.profile, message, session)
        return reason

    def _start(self, work: Coroutine[Any, Any, int]) -> asyncio.Task[int]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        self._queued.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[int]) -> None:
        self._tasks.discard(task)
        self._queued.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, errors.Unavailable):
            _logger.error("A message could not be stored", exc_info=error)

    async def _parse(
        self, who: Admission, session: Session, message: Message, received: ingest.Message, pending: Pending
    ) -> int:
        """Store a message whose device has payload parsers, which run in a thread; deliver it, and wait for the commit.

        Raises:
            errors.Unavailable: as ``accept``, or the commit failed.
        """
        work, task = functools.partial(ingest.parse, pending), asyncio.current_task()
        try:
            with parsers.showing(who.device):
                ready = await self._workers.parse(who.profile, work, lambda: self._queued.difference_update((task,)))
            self._note(who, message, ingest.finish(ready))
            reason = packets.NORMAL
        except errors.Unavailable:
            raise
        except errors.ApiError as error:
            reason = self._refused(who, received, error)
        self.deliver(who.device, who.profile, message, session)
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.commits.settle(kept.set_result, is_alone=self.is_alone)
        if not await kept:
            raise errors.Unavailable
        return reason

    def _note(self, who: Admission, message: Message, added: int) -> None:
        log.line(function="mqtt", profile=who.profile, device=who.device, points=added)
        events.current().seen(who.device, "[MQTT] Publish", message.topic)

    def _refused(self, who: Admission, received: ingest.Message, error: errors.ApiError) -> int:
        self.refused += 1
        log.line("warning", function="mqtt", profile=who.profile, device=who.device, reason=log.reason(error))
        dead_letters.keep(reason=error.message, message=_described(received))
        events.current().seen(who.device, "[MQTT] Refused", error.message)
        return packets.QUOTA_EXCEEDED if isinstance(error, errors.PaymentRequired) else packets.BAD_PAYLOAD

    def deliver(self, device: str, profile: str | None, message: Message, origin: Session | None = None) -> None:
        """Send a message to the device's clients that subscribe to its topic, and retain it if it says so.

        Raises:
            errors.Unavailable: it cannot be kept for a client that must not lose it.
        """
        if message.is_retained and not self._retained.note(device, message):
            log.line("warning", function="mqtt", device=device, reason="not retained: the device has too much")
            events.current().seen(device, "[MQTT] Not retained", message.topic)
        for session, match in self.sessions.matching(device, message.topic, origin):
            self._send(session, profile, message, match)

    def _send(self, session: Session, profile: str | None, message: Message, match: Match) -> None:
        if profile is None or self.rates.take(profile, "receive"):
            session.send(message, match)
        elif min(match.qos, message.qos):
            session.keep(message, match)

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        """See Mqtt."""
        self.deliver(device, None, Message(topic, payload, qos, is_retained=retain))

    def disconnect(self, *, client_id: str) -> None:
        """See Mqtt."""
        for session in [session for session, (_, who, _) in self._wills.items() if who.client_id == client_id]:
            del self._wills[session]
        for client in [client for client, who in self.clients.items() if who.client_id == client_id]:
            client.close(packets.ADMINISTRATIVE)

    def forget(self, *, device: str) -> None:
        """See Mqtt."""
        self.sessions.forget_device(device)

    def close(self) -> None:
        """End every connection."""
        for client in list(self.opened):
            client.close(packets.SHUTTING_DOWN)

    def refuse(self, reason: str, who: Admission | None = None) -> None:
        """Log why a client was refused or its connection ended, and tell its inspector.

        The reason may hold nothing that the client sent.
        """
        if who is None:
            log.line("warning", function="mqtt", reason=reason)
            return
        log.line("warning", function="mqtt", profile=who.profile, device=who.device, reason=reason)
        events.current().seen(who.device, "[MQTT] Refused", reason)


def _described(received: ingest.Message) -> dict[str, Any]:
    """Return a message in the shape of IoT Core's rules, for the dead letters."""
    return {
        "payload": base64.b64encode(received.payload).decode(),
        "topic": received.topic,
        "clientid": received.client_id,
        "principal": received.sender[1] if received.sender else "",
        "timestamp": received.arrived_ms,
        "uuid": received.unique,
    }
