"""The tables of the embedded MQTT broker: sessions that are kept, their messages, and retained messages.

Each call is part of the open transaction, as those of the store are. What a client must not lose is written here before
the answer that promises it, and both wait for the same commit.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from chalicelib import errors
from chalicelib.store.sqlite_units import Write

if TYPE_CHECKING:
    from chalicelib.store.sqlite import SqliteStore

MQTT_SCHEMA = """
CREATE TABLE IF NOT EXISTS mqtt_sessions (
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, client_id TEXT NOT NULL, expiry_s INTEGER NOT NULL, ends_ms INTEGER,
    subscriptions TEXT NOT NULL, UNIQUE (device, client_id));
CREATE TABLE IF NOT EXISTS mqtt_messages (
    session INTEGER NOT NULL, id INTEGER NOT NULL, packet_id INTEGER NOT NULL, qos INTEGER NOT NULL,
    is_released INTEGER NOT NULL, is_retained INTEGER NOT NULL, identifiers TEXT NOT NULL, expires_ms INTEGER,
    topic TEXT NOT NULL, properties BLOB NOT NULL, payload BLOB NOT NULL, body INTEGER NOT NULL,
    PRIMARY KEY (session, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqtt_bodies (id INTEGER PRIMARY KEY, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS mqtt_received (
    session INTEGER NOT NULL, packet_id INTEGER NOT NULL, PRIMARY KEY (session, packet_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqtt_retained (
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, topic TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    qos INTEGER NOT NULL, expires_ms INTEGER, properties BLOB NOT NULL, payload BLOB NOT NULL, UNIQUE (device, topic));
"""
_SESSION = "id, device, client_id, expiry_s, ends_ms, subscriptions"
_MESSAGE = (
    "session, id, packet_id, qos, is_released, is_retained, identifiers, expires_ms, topic, properties, payload, body"
)
_SLICE = 8
"""How many messages are deleted together. One has up to 131 kB, which SQLite reads to delete them."""
_RETAINED = "topic, qos, expires_ms, properties, payload"


class SessionRow(NamedTuple):
    """A session that is kept."""

    id: int
    device: str
    client_id: str
    expiry_s: int
    ends_ms: int | None
    """When it is forgotten, in milliseconds since 1970; None: its client is connected."""
    subscriptions: str
    """As JSON."""


class MessageRow(NamedTuple):
    """A message of a session that its client has not acknowledged."""

    session: int
    id: int
    """Rises with each message of the session."""
    packet_id: int
    """0: the message waits."""
    qos: int
    is_released: int
    """Whether the client has it: its PUBREC has arrived."""
    is_retained: int
    identifiers: str
    """Subscription identifiers as JSON; empty: none."""
    expires_ms: int | None
    topic: str
    properties: bytes
    payload: bytes
    """Empty if it is large: then ``body`` names it."""
    body: int
    """The id of the payload, which messages of other sessions share; 0: none."""


class RetainedRow(NamedTuple):
    """The newest message with RETAIN of a topic."""

    topic: str
    qos: int
    expires_ms: int | None
    properties: bytes
    payload: bytes


class MqttTables:
    """Reads and writes the tables.

    Every call raises ``errors.Unavailable`` if the database cannot be used, and those that add something also if the
    disk is full.

    Args:
        store: the store.
        db: its connection.
    """

    def __init__(self, store: "SqliteStore", db: sqlite3.Connection) -> None:
        self._db = db
        self._write, self._add = Write(store, db), Write(store, db, grows=True)

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise errors.Unavailable from error

    def sessions(self) -> list[SessionRow]:
        """Return all sessions."""
        return [SessionRow(*row) for row in self._rows(f"SELECT {_SESSION} FROM mqtt_sessions")]

    def session(self, device: str, client_id: str) -> SessionRow | None:
        """Return the session of a client."""
        sql = f"SELECT {_SESSION} FROM mqtt_sessions WHERE device = ? AND client_id = ?"
        rows = self._rows(sql, device, client_id)
        return SessionRow(*rows[0]) if rows else None

    def messages(self, session: int) -> list[MessageRow]:
        """Return the messages of a session in their order."""
        rows = self._rows(f"SELECT {_MESSAGE} FROM mqtt_messages WHERE session = ? ORDER BY id", session)
        return [MessageRow(*row) for row in rows]

    def received(self, session: int) -> list[int]:
        """Return the packet ids of QoS 2 that the client has not released."""
        rows = self._rows("SELECT packet_id FROM mqtt_received WHERE session = ?", session)
        return [packet_id for (packet_id,) in rows]

    def lost_sessions(self) -> list[int]:
        """Return the ids of sessions that have messages and do not exist. Cost: it looks at every message."""
        rows = self._rows(
            "SELECT session FROM mqtt_messages WHERE session NOT IN (SELECT id FROM mqtt_sessions) UNION "
            "SELECT session FROM mqtt_received WHERE session NOT IN (SELECT id FROM mqtt_sessions)"
        )
        return [session for (session,) in rows]

    def put_session(self, row: SessionRow) -> None:
        """Write a session, new or not. It replaces one of the client that could not be deleted."""
        with self._write.to("") as db:
            db.execute(f"INSERT OR REPLACE INTO mqtt_sessions ({_SESSION}) VALUES (?, ?, ?, ?, ?, ?)", row)

    def delete_session(self, session: int) -> None:
        """Delete a session. ``clear`` deletes its messages, of which there may be megabytes."""
        with self._write.to("") as db:
            db.execute("DELETE FROM mqtt_sessions WHERE id = ?", (session,))

    def clear(self, session: int) -> tuple[bool, list[int]]:
        """Delete some messages of a session that does not exist; return whether none are left, and their bodies."""
        with self._write.to("") as db:
            if db.execute("SELECT 1 FROM mqtt_sessions WHERE id = ?", (session,)).fetchone():
                return True, []  # a failed commit has brought it back
            found = db.execute(
                f"SELECT id, body FROM mqtt_messages WHERE session = ? ORDER BY id LIMIT {_SLICE}", (session,)
            ).fetchall()
            if found:
                db.execute("DELETE FROM mqtt_messages WHERE session = ? AND id <= ?", (session, found[-1][0]))
            if len(found) < _SLICE:
                db.execute("DELETE FROM mqtt_received WHERE session = ?", (session,))
        return len(found) < _SLICE, [body for _, body in found if body]

    def body_uses(self) -> dict[int, int]:
        """Return how many messages share each payload. Cost: it looks at every message and payload."""
        uses: dict[int, int] = dict.fromkeys((body for (body,) in self._rows("SELECT id FROM mqtt_bodies")), 0)
        uses.update(self._rows("SELECT body, COUNT(*) FROM mqtt_messages WHERE body > 0 GROUP BY body"))
        return uses

    def body(self, body: int) -> bytes:
        """Return a payload that messages share."""
        rows = self._rows("SELECT payload FROM mqtt_bodies WHERE id = ?", body)
        return rows[0][0] if rows else b""

    def add_body(self, body: int, payload: bytes) -> None:
        """Add a payload that messages share."""
        with self._add.to("") as db:
            db.execute("INSERT INTO mqtt_bodies VALUES (?, ?)", (body, payload))

    def delete_body(self, body: int) -> None:
        """Delete a payload that no message has any more."""
        with self._write.to("") as db:
            db.execute("DELETE FROM mqtt_bodies WHERE id = ?", (body,))

    def add_message(self, row: MessageRow) -> None:
        """Add a message to a session."""
        with self._add.to("") as db:
            db.execute(f"INSERT INTO mqtt_messages ({_MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def set_packet_id(self, session: int, message: int, packet_id: int) -> None:
        """Note that a message that waited is sent with a packet id."""
        with self._write.to("") as db:
            db.execute(
                "UPDATE mqtt_messages SET packet_id = ? WHERE session = ? AND id = ?", (packet_id, session, message)
            )

    def release(self, session: int, message: int) -> None:
        """Note that the client has a message of QoS 2. Only its packet id is kept."""
        with self._write.to("") as db:
            db.execute(
                "UPDATE mqtt_messages SET is_released = 1, properties = X'', payload = X'', body = 0 "
                "WHERE session = ? AND id = ?",
                (session, message),
            )

    def delete_messages(self, session: int, first: int, last: int) -> None:
        """Delete the messages of a session from one id to another."""
        with self._write.to("") as db:
            db.execute("DELETE FROM mqtt_messages WHERE session = ? AND id BETWEEN ? AND ?", (session, first, last))

    def add_received(self, session: int, packet_id: int) -> None:
        """Note that a message of QoS 2 was accepted from the client."""
        with self._add.to("") as db:
            db.execute("INSERT OR IGNORE INTO mqtt_received VALUES (?, ?)", (session, packet_id))

    def delete_received(self, session: int, packet_id: int) -> None:
        """Note that the client has released a message of QoS 2."""
        with self._write.to("") as db:
            db.execute("DELETE FROM mqtt_received WHERE session = ? AND packet_id = ?", (session, packet_id))

    def retained_sizes(self, device: str, now_ms: int) -> dict[str, int]:
        """Return the topics of a device's retained messages that have not expired, with their sizes in bytes."""
        sql = "SELECT topic, size_bytes FROM mqtt_retained WHERE device = ? AND (expires_ms IS NULL OR expires_ms > ?)"
        return dict(self._rows(sql, device, now_ms))

    def retained(self, device: str, topics: Iterable[str]) -> Sequence[RetainedRow]:
        """Return the retained messages of these topics of a device, in this order."""
        sql = f"SELECT {_RETAINED} FROM mqtt_retained WHERE device = ? AND topic = ?"
        rows = [self._rows(sql, device, topic) for topic in topics]
        return [RetainedRow(*found[0]) for found in rows if found]

    def retain(self, device: str, row: RetainedRow, size_bytes: int) -> None:
        """Put the retained message of a topic in the place of the one before."""
        with self._add.to("") as db:
            db.execute(
                f"INSERT INTO mqtt_retained (device, size_bytes, {_RETAINED}) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (device, topic) DO UPDATE SET size_bytes = excluded.size_bytes, qos = excluded.qos, "
                "expires_ms = excluded.expires_ms, properties = excluded.properties, payload = excluded.payload",
                (device, size_bytes, *row),
            )

    def unretain(self, device: str, topic: str) -> None:
        """Delete the retained message of a topic."""
        with self._write.to("") as db:
            db.execute("DELETE FROM mqtt_retained WHERE device = ? AND topic = ?", (device, topic))

    def remove_expired_retained(self, device: str, now_ms: int) -> None:
        """Delete the retained messages of a device that have expired."""
        with self._write.to("") as db:
            db.execute("DELETE FROM mqtt_retained WHERE device = ? AND expires_ms <= ?", (device, now_ms))

    def sessions_of(self, device: str) -> list[int]:
        """Return the ids of a device's sessions."""
        return [session for (session,) in self._rows("SELECT id FROM mqtt_sessions WHERE device = ?", device)]

    def unretain_all(self, device: str) -> None:
        """Delete the retained messages of a device."""
        with self._write.to("") as db:
            db.execute("DELETE FROM mqtt_retained WHERE device = ?", (device,))
