"""IoT Core: MQTT 3.1.1 over TLS, the custom authorizer and its policies, topic rules, and messages of the data plane.

It is as strict as IoT Core's documentation: what the policy does not allow ends the connection, RETAIN needs an action
of its own, a topic has at most seven slashes and 256 bytes, there is no QoS 2, and a message is acknowledged before
the topic rules pass it on. Rules run when ``settle`` is called.
"""

import asyncio
import base64
import json
import re
import threading
import uuid
from fnmatch import fnmatchcase
from types import SimpleNamespace

from chalicelib.codec import topics
from chalicelib.functions import iot_authorizer, iot_ingest
from chalicelib.host import clock
from deploy import spec
from embedded.mqtt import answers, packets
from embedded.mqtt.packets import Message
from embedded.mqtt.reading import Malformed
from tests.kit.policies import running

ACCOUNT = "123456789012"
BASE = f"arn:aws:iot:eu-central-1:{ACCOUNT}"
FUNCTION = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:decant-dev-iot-authorizer"
MAX_BYTES = 128 * 1024
_SQL = re.compile(r"SELECT .* FROM '(?P<topic>[^']+)'(?: WHERE clientid\(\) <> '(?P<except>[^']*)')?")
_TURNS = 25


class IotCore:
    """Serves MQTT on a port of this machine until ``close``. It is also an ``Mqtt`` host for the API.

    Args:
        context: the TLS context.
        stage: the stage whose topic rules pass messages on.
    """

    def __init__(self, context, stage="dev"):
        self.rules = [_rule(sql) for sql in spec.topic_rules(stage).values()]
        """Filter of each topic rule, and the client id that its WHERE leaves out, or None."""
        self.fewer_actions: list[str] = []
        """Actions that are taken out of each policy."""
        self.will_attribute = "LastWill"
        """What a condition of iot:ConnectAttributes must name for a will, as the documentation's example has it."""
        self.loses_wills = False
        self.name_principal = lambda answer, _connect: answer["principalId"]
        """Returns what the topic rules find as principal()."""
        self.own_client_id = "n/a"
        """The client id of messages that the data plane publishes."""
        self.delivers = True
        self.sessions: set[_Session] = set()
        self.retained: dict[str, bytes] = {}
        self.passed: list[dict[str, object]] = []
        """Messages that the topic rules will pass on."""
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = self._run(asyncio.start_server(self._serve, "localhost", 0, ssl=context))

    @property
    def address(self):
        """Host and port."""
        return "localhost", self.server.sockets[0].getsockname()[1]

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=30)

    def settle(self):
        """Read what the clients have sent, then let the topic rules pass on what they have got."""
        self._run(_turns())
        passed, self.passed = self.passed, []
        for event in passed:
            with running("iot-ingest"):
                iot_ingest.store(event, None)

    def close(self):
        """Stop, and end every connection."""

        async def stop():
            self.server.close()
            for session in list(self.sessions):
                session.writer.transport.abort()
            await _turns()

        self._run(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def publish(self, *, device, topic, payload, qos, retain):
        """See Mqtt: publish as the data plane does, without a client."""
        message = Message(f"device/{device}/{topic}", payload, min(qos, 1))
        if retain:
            self.retained[message.topic] = payload
        self.loop.call_soon_threadsafe(self.distribute, message, self.own_client_id, "")

    def forget(self, *, device):
        """See Mqtt."""

    def disconnect(self, *, client_id):
        """See Mqtt: end a session without its will."""

        def end():
            for session in [session for session in self.sessions if session.connect.client_id == client_id]:
                session.will = None
                session.writer.close()

        self.loop.call_soon_threadsafe(end)

    def distribute(self, message, client_id, principal):
        """Deliver a message to subscribers, and give it to the topic rules."""
        if self.delivers:
            for session in self.sessions:
                session.deliver(message)
        for rule in self.rules:
            if topics.matches(rule["topic"], message.topic) and rule["except"] != client_id:
                self.passed.append({
                    "payload": base64.b64encode(message.payload).decode(), "topic": message.topic,
                    "clientid": client_id, "principal": principal, "timestamp": clock.now_ms(), "uuid": str(uuid.uuid4()),
                })  # fmt: skip

    async def _serve(self, reader, writer):
        session = None
        buffer = bytearray()
        try:
            while data := await reader.read(65_536):
                buffer += data
                while (packet := _split(buffer)) is not None:
                    if session is None:
                        session = self._admit(writer, packet[1])
                        if session is None:
                            return
                    elif not session.handle(*packet):
                        return
        except (ConnectionError, Malformed):
            pass
        finally:
            self._end(session)
            writer.close()

    def _end(self, session):
        if session is not None:
            self.sessions.discard(session)
            if session.will is not None and not self.loses_wills:
                self.distribute(session.will, session.connect.client_id, session.principal)

    def _admit(self, writer, body):
        """Ask the authorizer, and answer CONNECT. Return the session, or None if the client is refused."""
        connect = packets.read_connect(body)
        event = {
            "signatureVerified": False, "protocols": ["tls", "mqtt"], "connectionMetadata": {"id": str(uuid.uuid4())},
            "protocolData": {
                "tls": {"serverName": "localhost"},
                "mqtt": {
                    "username": connect.username, "password": base64.b64encode(connect.password or b"").decode(),
                    "clientId": connect.client_id,
                },
            },
        }  # fmt: skip
        with running("iot-authorizer"):
            answer = iot_authorizer.authorize(event, SimpleNamespace(invoked_function_arn=FUNCTION))
        session = _Session(self, writer, connect, answer) if answer["isAuthenticated"] else None
        if session is None or not session.may_connect():
            writer.write(answers.connack(connect.version, packets.NOT_AUTHORIZED))
            return None
        writer.write(answers.connack(connect.version, packets.NORMAL))
        self.sessions.add(session)
        return session


class _Session:
    def __init__(self, core, writer, connect, answer):
        self.core, self.writer, self.connect, self.will = core, writer, connect, connect.will and connect.will.message
        self.principal = core.name_principal(answer, connect)
        documents = [json.loads(text) for text in answer["policyDocuments"]]
        self.statements = [statement for document in documents for statement in document["Statement"]]
        self.filters: list[str] = []

    def may(self, action, resource):
        """Return whether the policy allows an action."""
        return any(
            statement["Effect"] == "Allow" and action in self._actions(statement) and _names(statement, resource)
            for statement in self.statements
        )

    def _actions(self, statement):
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else list(statement["Action"])
        return [action for action in actions if action not in self.core.fewer_actions]

    def may_connect(self):
        """Return whether the policy allows the client id and the will."""
        if self.will is not None:
            conditions = json.dumps([statement.get("Condition") for statement in self.statements])
            if self.core.will_attribute not in conditions:
                return False
            if not self.may("iot:Publish", f"{BASE}:topic/{self.will.topic}"):
                return False
        return self.may("iot:Connect", f"{BASE}:client/{self.connect.client_id}")

    def handle(self, first, body):
        """Handle a packet. Return whether the connection goes on."""
        kind = first >> 4
        if kind == packets.PUBLISH:
            return self._publish(first, body)
        if kind == packets.SUBSCRIBE:
            self._subscribe(packets.read_subscribe(body, self.connect.version))
        elif kind == packets.PINGREQ:
            self.writer.write(answers.PINGRESP)
        elif kind == packets.DISCONNECT:
            self.will = None
            return False
        return True

    def _publish(self, first, body):
        sent = packets.read_publish(first, body, self.connect.version, clock.now_ms())
        topic, is_retained = sent.message.topic, bool(first & 1)
        resource = f"{BASE}:topic/{topic}"
        if topic.count("/") > 7 or len(topic.encode()) > 256 or sent.message.qos > 1:
            return False
        if not self.may("iot:Publish", resource) or (is_retained and not self.may("iot:RetainPublish", resource)):
            return False
        if sent.packet_id:
            self.writer.write(answers.ack(packets.PUBACK, sent.packet_id, self.connect.version))
        if is_retained:
            self.core.retained[topic] = sent.message.payload
            if not sent.message.payload:
                del self.core.retained[topic]
        self.core.distribute(sent.message, self.connect.client_id, self.principal)
        return True

    def _subscribe(self, sent):
        codes = []
        for name, options in sent.filters:
            is_allowed = self.may("iot:Subscribe", f"{BASE}:topicfilter/{name}")
            codes.append(min(options & 3, 1) if is_allowed else 0x80)
            if is_allowed:
                self.filters.append(name)
        self.writer.write(answers.suback(sent.packet_id, self.connect.version, codes))
        for topic, payload in self.core.retained.items():
            self.deliver(Message(topic, payload, 0), is_retained=True)

    def deliver(self, message, is_retained=False):
        """Send a message if the client subscribes to it and may receive it."""
        is_wanted = any(topics.matches(name, message.topic) for name in self.filters)
        if is_wanted and self.may("iot:Receive", f"{BASE}:topic/{message.topic}"):
            found = answers.publish(message, self.connect.version, 0, 0, now_ms=clock.now_ms(), is_retained=is_retained)
            self.writer.write(found)


def _split(buffer):
    """Take the first packet off a buffer: its first byte and its body; None while it is not complete."""
    found = packets.measure(buffer, 0, MAX_BYTES)
    if found is None or found[1] > len(buffer):
        return None
    packet = buffer[0], bytes(buffer[slice(*found)])
    del buffer[: found[1]]
    return packet


def _rule(sql):
    match = _SQL.fullmatch(sql)
    assert match is not None, f"this SQL is not known here: {sql}"
    return match.groupdict()


def _names(statement, resource):
    resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    return any(fnmatchcase(resource, pattern) for pattern in resources)


async def _turns():
    """Let every task read what has arrived, until it waits."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
