"""A paho client whose events tests can wait for, and a client that sends raw bytes."""

import queue
import socket
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

VERSIONS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}
WAIT_S = 10


class Client:
    """A connected paho client. ``code`` is the code of CONNACK."""

    def __init__(
        self,
        port,
        token,
        client_id="",
        version="3.1.1",
        clean=True,
        will=None,
        username="Token",
        expiry_s=None,
        tls=None,
        subscribe=(),
        transport="tcp",
    ):
        options = {} if version == "5" else {"clean_session": clean}
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id,
            protocol=VERSIONS[version],
            reconnect_on_failure=False,
            transport=transport,
            **options,
        )
        if username is not None:
            self.paho.username_pw_set(username, token)
        if will:
            self.paho.will_set(*will)
        if tls:
            self.paho.tls_set(tls)
        self.messages = queue.Queue()
        self.ended = threading.Event()
        self.end_code = None
        self._answers = queue.Queue()
        self.paho.on_connect = lambda _c, _u, flags, code, _p: self._answers.put((code, flags.session_present))
        self.paho.on_subscribe = lambda _c, _u, _mid, codes, _p: self._answers.put(codes)
        self.paho.on_unsubscribe = lambda _c, _u, _mid, _codes, _p: self._answers.put(None)
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        more = {}
        if version == "5":
            more["clean_start"] = clean
            if expiry_s is not None:
                more["properties"] = Properties(PacketTypes.CONNECT)
                more["properties"].SessionExpiryInterval = expiry_s
        self.paho.connect("127.0.0.1", port, keepalive=60, **more)
        self.paho.loop_start()
        self.code, self.is_present = self._answers.get(timeout=WAIT_S)
        for name in subscribe:
            self.subscribe(name)

    def _on_disconnect(self, _client, _userdata, _flags, code, _properties):
        self.end_code = code
        self.ended.set()

    def subscribe(self, name, qos=1, **options):
        self.paho.subscribe(name, qos, **options)
        return self._answers.get(timeout=WAIT_S)

    def unsubscribe(self, name):
        self.paho.unsubscribe(name)
        self._answers.get(timeout=WAIT_S)

    def publish(self, topic, payload, qos=1, **options):
        sent = self.paho.publish(topic, payload, qos=qos, **options)
        if qos:
            sent.wait_for_publish(WAIT_S)
            assert sent.is_published()
        return sent

    def next(self):
        found = self.messages.get(timeout=WAIT_S)
        return found.topic, found.payload

    def nothing_more(self):
        """Check that no message was delivered so far: the client publishes one, which comes back first."""
        marker = f"marker-{id(self)}"
        self.subscribe(marker)
        self.publish(marker, b"")
        found = self.next()
        assert found == (marker, b""), found
        return True

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def vanish(self):
        """Close the connection without DISCONNECT. The shutdown wakes paho's loop, which would sleep a second."""
        connection = self.paho.socket()
        connection.shutdown(socket.SHUT_RDWR)
        self.paho.loop_stop()
        connection.close()


class Raw:
    """A socket that sends and receives raw bytes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def read(self, count):
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                break
            found += part
        return found

    def is_closed(self):
        """Wait until the broker has closed the connection."""
        try:
            while self.socket.recv(4_096):
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self):
        self.socket.close()
