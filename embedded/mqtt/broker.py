"""The broker: admits clients, has messages stored, and delivers them.

``admission.admit`` decides who may connect and ``ingest.store`` what becomes of a message, as on AWS. Each device has a
topic space of its own.
"""

import base64
import secrets
from collections.abc import Callable
from typing import Any, Protocol

from chalicelib import errors
from chalicelib.codec import tokens
from chalicelib.host import clock, dead_letters, events, log
from chalicelib.services.access import admission
from chalicelib.services.access.admission import Admission
from chalicelib.services.devices import ingest
from embedded.commits import GroupCommit
from embedded.mqtt import packets
from embedded.mqtt.packets import Connect, Message
from embedded.mqtt.rates import Rates
from embedded.mqtt.session import MAX_INFLIGHT, Session

PERSIST_S = 3_600
"""How long the session of a client before version 5 is kept that wants it kept, as on AWS."""
MAX_PERSIST_S = 86_400
MAX_SESSIONS = 20_000


class Client(Protocol):
    """A connection, as the broker knows it."""

    def close(self, reason: int) -> None:
        """End it."""

    def check(self, now_s: float) -> None:
        """End it if nothing was heard of it for too long."""


class Broker:
    """All sessions and connections.

    Args:
        commits: what acknowledgements wait for.
        is_quiet: tells that no request of HTTP is being answered.
    """

    def __init__(self, commits: GroupCommit, is_quiet: Callable[[], bool] = lambda: True) -> None:
        self.commits, self._is_quiet = commits, is_quiet
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

    @property
    def is_alone(self) -> bool:
        """Whether a lone client waits for its commit."""
        return len(self.clients) <= 1 and self._is_quiet()

    def admit(self, sent: Connect) -> Admission | int:
        """Return who a client is, or the reason why it may not connect.

        Cost: that of ``admission.admit``.
        """
        password = (sent.password or b"").decode(errors="replace")
        bare = tokens.bare(password)
        if bare is None or not sent.username:
            return packets.BAD_PASSWORD
        # One id a token: here the broker knows who is connected, so clients may call themselves what they like.
        client_id = f"embedded-{tokens.fingerprint(bare)[:32]}"
        try:
            who = admission.admit(token=password, client_id=client_id, keep_s=None)
        except errors.ApiError:
            who = None
        if who is None:
            return packets.BAD_PASSWORD
        return who if self.rates.take(who.profile, "connect") else packets.RATE_EXCEEDED

    def open(self, client: Client, who: Admission, sent: Connect) -> tuple[Session, bool]:
        """Return the client's session, ending another connection that had it; and whether it is one from before."""
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
        receive = sent.properties.get(packets.RECEIVE_MAXIMUM)
        session.max_inflight = min(MAX_INFLIGHT, receive) if isinstance(receive, int) and receive else MAX_INFLIGHT
        self._connected[session] = client
        self.clients[client] = who.client_id
        events.current().seen(who.device, "[MQTT] Connected", client_id)
        return session, is_present

    def leave(self, client: Client, session: Session, now_s: float) -> None:
        """Note that a connection has ended; its session is kept as long as the client asked for."""
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

    def note_subscriptions(self, session: Session) -> None:
        """Know who listens, after a session has changed its subscriptions."""
        listening = self._listening.setdefault(session.device, set())
        if session.subscriptions:
            listening.add(session)
        else:
            listening.discard(session)
            if not listening:
                del self._listening[session.device]

    def sweep(self, now_s: float) -> None:
        """Give up silent clients, forget the sessions whose time is over, and send on what a new minute allows."""
        for client in list(self.opened):
            client.check(now_s)
        for session in [one for one in self._sessions.values() if one.ends_s is not None and one.ends_s <= now_s]:
            self._forget(session)
        for session in self._connected:
            session.drain()

    def accept(self, who: Admission, session: Session, message: Message) -> None:
        """Store a message if it is one that is stored, and deliver it to the device's clients.

        Raises:
            errors.Unavailable: the store is down; the message must not be acknowledged.
        """
        self._count += 1
        unique, arrived_ms = f"{self._prefix}-{self._count}", clock.now_ms()
        sender = who.profile, who.device
        try:
            ingest.store(ingest.Message(sender, who.client_id, message.topic, message.payload, arrived_ms, unique))
            title, content = "[MQTT] Publish", message.topic
        except errors.Unavailable:
            raise
        except errors.ApiError as error:
            title, content = "[MQTT] Refused", error.message
            log.line(function="mqtt", refused=error.message[:200])
            dead_letters.keep(reason=error.message, message=_described(who, message, arrived_ms, unique))
        events.current().seen(who.device, title, content)
        self.deliver(who.device, who.profile, message, session)

    def deliver(self, device: str, profile: str | None, message: Message, origin: Session | None = None) -> None:
        """Send a message to the device's clients that want it."""
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

    def refuse(self, text: str) -> None:
        """Note why a client was turned away."""
        log.line(function="mqtt", refused=text[:200])


def _described(who: Admission, message: Message, arrived_ms: int, unique: str) -> dict[str, Any]:
    """Return a message as IoT Core's rules describe it, for the dead letters."""
    return {
        "payload": base64.b64encode(message.payload).decode(),
        "topic": message.topic,
        "clientid": who.client_id,
        "timestamp": arrived_ms,
        "uuid": unique,
    }


def expiry_s(sent: Connect) -> int:
    """Return how long the session of a client is kept after its connection."""
    if sent.version != packets.V5:
        return 0 if sent.is_clean else PERSIST_S
    found = sent.properties.get(packets.SESSION_EXPIRY, 0)
    return min(found, MAX_PERSIST_S) if isinstance(found, int) else 0
