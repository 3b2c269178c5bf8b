"""Large payloads in the database: one row each, however many sessions have the message."""

from chalicelib.store.sqlite_mqtt import MqttTables


class Bodies:
    """Counts how many messages have each payload, and deletes those that none has.

    All calls raise ``errors.Unavailable`` if the store is down.

    Args:
        tables: the tables of the store.
    """

    def __init__(self, tables: MqttTables) -> None:
        self._tables = tables
        self._uses: dict[int, int] = {}
        self._last = 0
        self._latest: tuple[bytes, int] = (b"", 0)
        """The payload that was read or written last, and its id: one message goes to many sessions in a row."""

    def count(self) -> None:
        """Count what the database has, at the start or after a failed commit, and delete what no message has."""
        self._latest = (b"", 0)
        self._uses = self._tables.body_uses()
        self._last = max([self._last, *self._uses])
        for body in [body for body, uses in self._uses.items() if not uses]:
            self._tables.delete_body(body)
            del self._uses[body]

    def read(self, body: int) -> bytes:
        """Return a payload."""
        if self._latest[1] != body:
            self._latest = self._tables.body(body), body
        return self._latest[0]

    def share(self, payload: bytes) -> int:
        """Return the id of a payload for one more message. It is written if the last call was about another one."""
        if self._latest[0] is not payload or self._latest[1] not in self._uses:
            self._tables.add_body(self._last + 1, payload)
            self._last += 1
            self._latest = payload, self._last
            self._uses[self._last] = 0
        self._uses[self._latest[1]] += 1
        return self._latest[1]

    def leave(self, body: int) -> None:
        """Note that one message less has a payload."""
        self._uses[body] = uses = self._uses.get(body, 0) - 1
        if uses <= 0:
            del self._uses[body]
            self._tables.delete_body(body)
