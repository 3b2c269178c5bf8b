"""The broker: who may connect, what becomes of a message, and who gets it.

Whether a client may connect is decided by the function of the IoT authorizer, and what becomes of a message by that of
the IoT ingest, each called with the event that IoT Core would give it. The topic space is the device's.
"""

import base64
import json
import secrets
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple, Protocol

from chalicelib.codec import tokens
from chalicelib.functions import iot
from chalicelib.host import clock, events, log
from chalicelib.services.access import callers
from embedded.gateway import GroupCommit
from embedded.mqtt import packets
from embedded.mqtt.packets import Connect, Message
from embedded.mqtt.rates import Rates
from embedded.mqtt.session import MAX_INFLIGHT, Session

PERSIST_S = 3_600
"""How long the session of a client before version 5 is kept that wants it kept, as on AWS."""
MAX_PERSIST_S = 86_400
MAX_SESSIONS = 20_000
_CONTEXT = SimpleNamespace(invoked_function_arn="arn:aws:lambda:local:000000000000:function:embedded")


class Client(Protocol):
    """A connection, as the broker knows it."""

    def close(self, reason: int) -> None:
        """End it."""

    def check(self, now_s: float) -> None:
        """End it if nothing was heard of it for too long."""


class Admission(NamedTuple):
    """Who a client is and what it may do."""

    device: str
    profile: str
    identity: str
    """The client id that it is bound under: one a token."""
    may_publish: bool
    may_subscribe: bool


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
        """Every connection that was admitted, to the identity of its token."""
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

        Cost: as the IoT authorizer's: nothing that is not in memory when the token was used within the last minute.
        """
        password = (sent.password or b"").decode(errors="replace")
        bare = tokens.bare(password)
        if bare is None or not sent.username:
            return packets.BAD_PASSWORD
        identity = f"embedded-{tokens.fingerprint(bare)[:32]}"
        mqtt = {
            "username": sent.username,
            "password": base64.b64encode(password.encode()).decode(),
            "clientId": identity,
        }
        answer = iot.authorize({"protocols": ["mqtt"], "protocolData": {"mqtt": mqtt}}, _CONTEXT)
        grant = callers.resolve(text=password) if answer["isAuthenticated"] else None
        if grant is None:
            return packets.BAD_PASSWORD
        if not self.rates.take(grant.profile, "connect"):
            return packets.RATE_EXCEEDED
        policy = json.loads(answer["policyDocuments"][0])
        actions = {statement["Action"] for statement in policy["Statement"]}
        return Admission(grant.device, grant.profile, identity, "iot:Publish" in actions, "iot:Subscribe" in actions)

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
        self.clients[client] = who.identity
        events.seen(who.device, "[MQTT] Connected", client_id)
        return session, is_present

    def leave(self, client: Client, session: Session, now_s: float) -> None:
        """Note that a connection has ended; its session is kept as long as the client asked for."""
        self.clients.pop(client, None)
        if self._connected.get(session) is not client:
            return
        del self._connected[session]
        session.write = None
        events.seen(session.device, "[MQTT] Disconnected", session.client_id)
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
        event = {
            "payload": base64.b64encode(message.payload).decode(),
            "topic": message.topic,
            "clientid": who.identity,
            "principal": "",
            "timestamp": clock.now_ms(),
            "uuid": f"{self._prefix}-{self._count}",
        }
        answer = iot.ingest(event, None)
        refused = answer.get("refused")
        if refused:
            events.seen(who.device, "[MQTT] Refused", refused)
        else:
            events.seen(who.device, "[MQTT] Publish", message.topic)
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
        """See chalicelib.host.mqtt.Broker."""
        self.deliver(device, None, Message(topic, payload, qos))

    def disconnect(self, *, client_id: str) -> None:
        """See chalicelib.host.mqtt.Broker."""
        for client in [client for client, identity in self.clients.items() if identity == client_id]:
            client.close(packets.ADMINISTRATIVE)

    def close(self) -> None:
        """End every connection."""
        for client in list(self.opened):
            client.close(packets.SHUTTING_DOWN)

    def refuse(self, text: str) -> None:
        """Note why a client was turned away."""
        log.line(function="mqtt", refused=text[:200])


def expiry_s(sent: Connect) -> int:
    """Return how long the session of a client is kept after its connection."""
    if sent.version != packets.V5:
        return 0 if sent.is_clean else PERSIST_S
    found = sent.properties.get(packets.SESSION_EXPIRY, 0)
    return min(found, MAX_PERSIST_S) if isinstance(found, int) else 0
