"""An MQTT client that waits for the broker's answers. It needs paho-mqtt, which a plain installation lacks."""

import queue
import socket
import ssl
import time
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

_CONNECT_S = 10.0
_KEEP_ALIVE_S = 60


class NotAdmitted(Exception):
    """The broker refused the connection."""


class Message(NamedTuple):
    """A message to the client, or the client's will."""

    topic: str
    payload: bytes
    is_retained: bool = False


class Client:
    """A connected client.

    Args:
        address: host and port. TLS is verified with the system's authorities.
        token: the password.
        client_id: the client's id.
        answer_s: how long the broker may take to answer, in seconds.
        will: a message that the broker publishes if the connection breaks.

    Raises:
        NotAdmitted: the broker refused the connection.
        OSError: there is no connection, or TLS cannot be verified.
    """

    def __init__(
        self, address: tuple[str, int], token: str, client_id: str, answer_s: float, will: Message | None = None
    ) -> None:
        self._answer_s = answer_s
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._paho = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv311, reconnect_on_failure=False
        )
        self._paho.username_pw_set("Token", token)
        self._paho.tls_set_context(ssl.create_default_context())
        self._paho.connect_timeout = _CONNECT_S
        if will:
            self._paho.will_set(will.topic, will.payload, qos=1)
        put = self._events.put
        self._paho.on_connect = lambda _client, _data, _flags, code, _properties: put(("connected", code))
        self._paho.on_publish = lambda _client, _data, _mid, _code, _properties: put(("published", True))
        self._paho.on_subscribe = lambda _client, _data, _mid, codes, _properties: put(("subscribed", codes[0]))
        self._paho.on_message = lambda _client, _data, message: put(
            ("message", Message(message.topic, message.payload, message.retain))
        )
        self._paho.on_disconnect = lambda _client, _data, _flags, code, _properties: put(("ended", code))
        self._paho.connect(*address, keepalive=_KEEP_ALIVE_S)
        self._paho.loop_start()
        code = self._wait("connected")
        if code is None or code.is_failure:
            self.close()
            raise NotAdmitted(f"CONNACK: {code}" if code is not None else "closed without CONNACK")

    def publish(self, topic: str, payload: bytes, *, is_retained: bool = False) -> bool:
        """Publish with QoS 1. Return whether the broker acknowledged it; if not, it has mostly ended the connection."""
        self._paho.publish(topic, payload, qos=1, retain=is_retained)
        return self._wait("published") is not None

    def subscribe(self, topic: str) -> bool:
        """Subscribe with QoS 1. Return whether the broker allowed it."""
        self._paho.subscribe(topic, qos=1)
        code = self._wait("subscribed")
        return code is not None and not code.is_failure

    def next_message(self) -> Message | None:
        """Return the next message, or None if there is none in time."""
        message: Message | None = self._wait("message")
        return message

    def drop(self) -> None:
        """Break the connection without DISCONNECT, as a device does that loses its network."""
        connection: Any = self._paho.socket()
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)
        self._paho.loop_stop()
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """End the connection."""
        self._paho.disconnect()
        self._paho.loop_stop()

    def _wait(self, wanted: str) -> Any:
        """Return the value of the next event of a kind. None: it did not come in time, or the connection has ended."""
        end_s = time.monotonic() + self._answer_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                kind, value = self._events.get(timeout=left_s)
            except queue.Empty:
                return None
            if kind == wanted:
                return value
            if kind == "ended":
                self._events.put((kind, value))  # for the next call, which need not wait either
                return None
        return None
