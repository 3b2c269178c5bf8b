"""Retained messages: the newest message with RETAIN of each topic, which a new subscription gets at once."""

from collections.abc import Iterator, Mapping

from chalicelib.host import clock
from chalicelib.store.sqlite_mqtt import MqttTables, RetainedRow
from embedded.mqtt.packets import Message
from embedded.mqtt.subscriptions import Match, Subscription, match

MAX_TOPICS, MAX_BYTES = 100, 1_000_000
"""How many retained messages a device may have, and how many bytes: payloads, topics and properties."""


class Retained:
    """The retained messages of all devices. They are in the database only.

    All calls raise ``errors.Unavailable`` if the store is down.

    Args:
        tables: the tables of the store.
    """

    def __init__(self, tables: MqttTables) -> None:
        self._tables = tables

    def note(self, device: str, message: Message) -> bool:
        """Put a message with RETAIN in the place of the one before; one without payload only deletes that.

        Returns:
            Whether it is retained, if it has a payload. If not, the device has too many or too large ones, and the one
            before is deleted, as it is not the newest any more.

        Cost: two or three statements.
        """
        if not message.payload:
            self._tables.unretain(device, message.topic)
            return True
        now_ms, size_bytes = clock.now_ms(), message.size_bytes
        sizes = self._tables.retained_sizes(device, now_ms)
        before = sizes.pop(message.topic, None)
        if len(sizes) >= MAX_TOPICS or sum(sizes.values()) + size_bytes > MAX_BYTES:
            if before is not None:
                self._tables.unretain(device, message.topic)
            return False
        if before is None:
            self._tables.remove_expired_retained(device, now_ms)
        row = RetainedRow(message.topic, message.qos, message.expires_ms, message.properties, message.payload)
        self._tables.retain(device, row, size_bytes)
        return True

    def find(self, device: str, subscriptions: Mapping[str, Subscription]) -> Iterator[tuple[Message, Match]]:
        """Yield the retained messages that match subscriptions, each once. Cost: a statement, and one a message."""
        found = {}
        for topic in self._tables.retained_sizes(device, clock.now_ms()):
            wanted = match(subscriptions, topic)
            if wanted is not None:
                found[topic] = wanted._replace(keeps_retain=True)
        for row in self._tables.retained(device, found):
            yield Message(row.topic, row.payload, row.qos, row.properties, True, row.expires_ms), found[row.topic]
