"""The broker: admits clients, stores their messages and delivers them.

As on AWS, ``admission.admit`` decides which clients may connect, and ``ingest`` decides which messages are
stored. Each device has a topic space of its own.
"""

import asyncio
import base64
import functools
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

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
from embedded.mqtt.packets import Connect, Message
from embedded.mqtt.rates import Rates
from embedded.mqtt.session import MAX_INFLIGHT, Session
from embedded.workers import Workers

PERSIST_S = 3_600
"""How long the broker keeps the session of a client that asks for it with a version before 5, as on AWS."""
MAX_PERSIST_S = 86_400
MAX_SESSIONS = 20_000
_logger = logging.getLogger(__name__)


class Client(Protocol):
    """The part of a connection that the broker needs."""

    def close(self, reason: int) -> None:
        """End the connection."""

    def check(self, now_s: float) -> None:
        """End the connection if the client has been silent for too long."""


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
        self.rates = Rates()
        self._prefix, self._count = secrets.token_hex(8), 0
        self.opened: set[Client] = set()
        """Every connection, admitted or not."""
        self.clients: dict[Client, str] = {}
        """Every admitted connection, with the client id to which its token is bound."""
        self._sessions: dict[tuple[str, str], Session] = {}
        self._listening: dict[str, set[Session]] = {}
        """The sessions of each device that subscribe to something."""
        self._connected: dict[Session, Client] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """Messages that wait for payload parsers."""
        self._queued: set[asyncio.Task[None]] = set()
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
        except errors.ApiError as error:
            self.refuse(type(error).__name__)
            who = None
        if who is None:
            return packets.BAD_PASSWORD
        return who if self.rates.take(who.profile, "connect") else packets.RATE_EXCEEDED

    def open(self, client: Client, who: Admission, sent: Connect) -> tuple[Session, bool]:
        """Return the client's session, and whether it was kept from before. Ends another connection that uses it."""
        client_id = sent.client_id or f"auto-{secrets.token_hex(8)}"
        key = (who.device, client_id)
        session = self._sessions.get(key)
        if session is not None:
            other = self._connected.pop(session, None)
            if other is not None:
                other.close(packets.TAKEN_OVER)
        if session is None or sent.is_clean:
            self._forget(session)
            session = None
        is_present = session is not None
        if session is None:
            session = self._sessions[key] = Session(who.device, client_id)
        session.version = sent.version
        session.expiry_s = expiry_s(sent)
        session.max_inflight = min(MAX_INFLIGHT, sent.receive_maximum)
        self._connected[session] = client
        self.clients[client] = who.client_id
        events.current().seen(who.device, "[MQTT] Connected", client_id)
        return session, is_present

    def leave(self, client: Client, session: Session, now_s: float) -> None:
        """Note that a connection has ended. Its session is kept for as long as the client asked."""
        self.clients.pop(client, None)
        if self._connected.get(session) is not client:
            return
        del self._connected[session]
        session.write = None
        events.current().seen(session.device, "[MQTT] Disconnected", session.client_id)
        if session.expiry_s and len(self._sessions) < MAX_SESSIONS:
            session.ends_s = now_s + session.expiry_s
        else:
            self._forget(session)

    def _forget(self, session: Session | None) -> None:
        if session is None:
            return
        self._sessions.pop((session.device, session.client_id), None)
        session.subscriptions.clear()
        self.note_subscriptions(session)
        for task in self._queued.intersection(session.parsing.values()):
            task.cancel()  # nothing is acknowledged, and the client sends it again in a new session

    def note_subscriptions(self, session: Session) -> None:
        """Note which sessions of the device subscribe, after this one has changed its subscriptions."""
        listening = self._listening.setdefault(session.device, set())
        if session.subscriptions:
            listening.add(session)
        else:
            listening.discard(session)
            if not listening:
                del self._listening[session.device]

    def sweep(self, now_s: float) -> None:
        """End silent connections, forget expired sessions, and send the messages that a new minute allows."""
        for client in list(self.opened):
            client.check(now_s)
        for session in list(self._sessions.values()):
            if session.ends_s is not None and session.ends_s <= now_s:
                self._forget(session)
        for session in self._connected:
            session.drain()

    def accept(self, who: Admission, session: Session, message: Message) -> asyncio.Task[None] | None:
        """Store a message if its topic is stored, and deliver it to the device's clients.

        Returns:
            None if that is done. If the device has payload parsers: the task that does it.

        Raises:
            errors.Unavailable: the store is down; the message must not be acknowledged. The task raises it too.
        """
        self._count += 1
        unique, arrived_ms = f"{self._prefix}-{self._count}", clock.now_ms()
        sender = who.profile, who.device
        received = ingest.Message(sender, who.client_id, message.topic, message.payload, arrived_ms, unique)
        try:
            added = ingest.begin(received)
            if isinstance(added, Pending):
                return self._start(self._parse(who, session, message, received, added))
            self._note(who, message, added)
        except errors.Unavailable:
            raise
        except errors.ApiError as error:
            self._refused(who, received, error)
        self.deliver(who.device, who.profile, message, session)
        return None

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        self._queued.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._queued.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, errors.Unavailable):
            _logger.error("A message could not be stored", exc_info=error)

    async def _parse(
        self, who: Admission, session: Session, message: Message, received: ingest.Message, pending: Pending
    ) -> None:
        """Store a message whose device has payload parsers, which run in a thread; deliver it, and wait for the commit.

        Raises:
            errors.Unavailable: as ``accept``, or the commit failed.
        """
        work, task = functools.partial(ingest.parse, pending), asyncio.current_task()
        try:
            with parsers.showing(who.device):
                ready = await self._workers.parse(who.profile, work, lambda: self._queued.difference_update((task,)))
            self._note(who, message, ingest.finish(ready))
        except errors.Unavailable:
            raise
        except errors.ApiError as error:
            self._refused(who, received, error)
        self.deliver(who.device, who.profile, message, session)
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.commits.settle(kept.set_result, is_alone=self.is_alone)
        if not await kept:
            raise errors.Unavailable

    def _note(self, who: Admission, message: Message, added: int) -> None:
        log.line(function="mqtt", profile=who.profile, device=who.device, points=added)
        events.current().seen(who.device, "[MQTT] Publish", message.topic)

    def _refused(self, who: Admission, received: ingest.Message, error: errors.ApiError) -> None:
        log.line("warning", function="mqtt", profile=who.profile, device=who.device, reason=log.reason(error))
        dead_letters.keep(reason=error.message, message=_described(received))
        events.current().seen(who.device, "[MQTT] Refused", error.message)

    def deliver(self, device: str, profile: str | None, message: Message, origin: Session | None = None) -> None:
        """Send a message to the device's clients that subscribe to its topic."""
        listening = self._listening.get(device)
        for session in list(listening) if listening else ():
            qos = session.wants(message.topic, is_own=session is origin)
            if qos is None:
                continue
            if profile is not None and not self.rates.take(profile, "receive"):
                if min(qos, message.qos):
                    session.keep(message)
                continue
            session.send(message, min(qos, message.qos))

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int) -> None:
        """See Mqtt."""
        self.deliver(device, None, Message(topic, payload, qos))

    def disconnect(self, *, client_id: str) -> None:
        """See Mqtt."""
        for client in [client for client, bound_id in self.clients.items() if bound_id == client_id]:
            client.close(packets.ADMINISTRATIVE)

    def close(self) -> None:
        """End every connection."""
        for client in list(self.opened):
            client.close(packets.SHUTTING_DOWN)

    def refuse(self, reason: str) -> None:
        """Log why a client was refused. The reason may hold nothing that the client sent."""
        log.line("warning", function="mqtt", reason=reason)


def _described(received: ingest.Message) -> dict[str, Any]:
    """Return a message in the shape of IoT Core's rules, for the dead letters."""
    return {
        "payload": base64.b64encode(received.payload).decode(),
        "topic": received.topic,
        "clientid": received.client_id,
        "timestamp": received.arrived_ms,
        "uuid": received.unique,
    }


def expiry_s(sent: Connect) -> int:
    """Return how long the session of a client is kept after its connection has ended."""
    if sent.version != packets.V5:
        return 0 if sent.is_clean else PERSIST_S
    return min(sent.expiry_s, MAX_PERSIST_S)
