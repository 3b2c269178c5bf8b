"""Dead letters of the embedded mode: MQTT messages that could not be stored, each with the reason.

``python -m embedded letters`` lists them, stores them after all, or drops them.
"""

import argparse
import base64
import secrets
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from chalicelib import errors, settings, store
from chalicelib.codec import times
from chalicelib.host import clock, log
from chalicelib.host.cache import Cache
from chalicelib.services.access import client_ids
from chalicelib.services.devices import ingest
from chalicelib.store import Entity, names
from embedded import folder, operator

MAX_LETTERS, MAX_BYTES = 100, 1_000_000
"""How many dead letters of a device are kept, and how many bytes. If there are more, the oldest are dropped."""
_KEPT_S = 14 * 86_400
_ABOUT = "list, store or drop MQTT messages that could not be stored"
_SELECT = (
    "SELECT owner, name, doc FROM entities WHERE (owner = ? OR (name >= ? AND name < ?)) "
    "AND (expires_at IS NULL OR expires_at > ?) ORDER BY substr(name, -22)"
)


class Letters:
    """Keeps dead letters. Those of a device are bounded, so that none of its clients fills the disk."""

    def __init__(self) -> None:
        self._known: Cache[deque[tuple[str, int]]] = Cache(ttl_s=3_600, size=1_000)
        """By owner, the names of its letters and their sizes in bytes, the oldest first."""

    def keep(self, reason: str, message: dict[str, Any]) -> None:
        """Keep a message for two weeks. Drop the oldest of its device if there are too many.

        Args:
            reason: why it could not be stored.
            message: as IoT Core's rules shape it. ``principal`` is the device.

        Raises:
            errors.Unavailable: it is not kept.
        """
        doc, now_ms = {"reason": reason, "message": message}, clock.now_ms()
        owner, prefix = names.DEAD_LETTERS, names.ANY
        if message.get("principal"):
            owner, prefix = names.device(message["principal"]), names.LETTERS
        known = self._known.get(owner) or deque(
            (entity.name, _size_bytes(entity.doc)) for entity in store.current().list(owner, prefix)
        )
        name = prefix + names.dead_letter(now_ms, secrets.token_hex(4))
        store.current().put(Entity(owner, name, doc, 1, now_ms // 1_000 + _KEPT_S))
        known.append((name, _size_bytes(doc)))
        dropped = []
        while len(known) > MAX_LETTERS or sum(size_bytes for _, size_bytes in known) > MAX_BYTES:
            dropped.append(known.popleft()[0])
        self._known.put(owner, known)
        if dropped:
            log.line("warning", function="mqtt", owner=owner, dropped_dead_letters=len(dropped))
            store.current().delete(owner, dropped)


def _size_bytes(doc: dict[str, Any]) -> int:
    return len(orjson.dumps(doc))


class _Letter(NamedTuple):
    owner: str
    name: str
    reason: str
    message: dict[str, Any]

    @property
    def id(self) -> str:
        return self.name.removeprefix(names.LETTERS)

    @property
    def device(self) -> str:
        return self.owner.removeprefix(names.DEVICES) if self.owner != names.DEAD_LETTERS else ""

    @property
    def payload(self) -> bytes:
        return base64.b64decode(self.message["payload"])

    def __str__(self) -> str:
        time = times.to_iso(int(self.message["timestamp"]))
        about = f"{self.id}  {time}  {self.device or '-'}  {len(self.payload)} bytes to {self.message['topic']!r}"
        return f"{about}: {self.reason}"


def add_to(commands: Any) -> None:
    """Add the command to those of ``python -m embedded``."""
    parser = commands.add_parser("letters", help=_ABOUT, description=_ABOUT)
    parser.add_argument(
        "do", nargs="?", default="list", choices=("list", "retry", "drop"),
        help="retry stores them, and drop deletes them, while it does not serve",
    )  # fmt: skip
    parser.add_argument("ids", nargs="*", metavar="ID", help="only these")
    parser.add_argument("--device", metavar="DEVICE", help="only those of this device")
    parser.add_argument("--payload", action="store_true", help="list also what was sent")
    parser.add_argument("--all", action="store_true", help="retry or drop all of them")


def run(directory: Path, given: argparse.Namespace) -> int:
    """List, retry or drop dead letters; return the exit status, which is 1 if one could not be stored.

    Raises:
        folder.Unusable: there is no data, the server runs, or it is not said which to retry or drop.
    """
    if not (directory / folder.DATABASE).exists():
        raise folder.Unusable(f"{directory} holds no data: start the server once, or set DECANT_DATA_DIR")
    if given.do == "list":
        letters = _read(directory, given)
        for letter in letters:
            print(letter)
            if given.payload:
                print(f"  {letter.payload.decode(errors='backslashreplace')!r}")
        print(f"{len(letters)} of at most {MAX_LETTERS} a device, or {MAX_BYTES:,} bytes", file=sys.stderr)
        return 0
    if not (given.ids or given.device or given.all):
        raise folder.Unusable(f"say which to {given.do}: their ids, --device DEVICE, or --all")
    settings.use(settings.load())
    with folder.lock(directory), operator.opened(directory, "FULL"):
        letters = _read(directory, given)
        missing = {*given.ids} - {letter.id for letter in letters}
        if missing:
            raise folder.Unusable(f"there is no letter {', '.join(sorted(missing))}")
        return _drop(letters) if given.do == "drop" else _retry(letters)


def _read(directory: Path, given: argparse.Namespace) -> list[_Letter]:
    """Return the letters that the arguments name, the oldest first. Cost: it looks at the names of all entities."""
    end = names.LETTERS[:-1] + chr(ord(names.LETTERS[-1]) + 1)
    with folder.opened(directory / folder.DATABASE, "ro") as db:
        now_s = clock.now_ms() // 1_000
        rows = db.execute(_SELECT, (names.DEAD_LETTERS, names.LETTERS, end, now_s)).fetchall()
    letters = [_Letter(owner, name, **orjson.loads(doc)) for owner, name, doc in rows]
    return [
        letter
        for letter in letters
        if given.device in (None, letter.device) and (not given.ids or letter.id in given.ids)
    ]


def _drop(letters: Sequence[_Letter]) -> int:
    for letter in letters:
        store.current().delete(letter.owner, [letter.name])
    print(f"{len(letters)} dropped")
    return 0


def _retry(letters: Sequence[_Letter]) -> int:
    """Store messages. One that is stored is deleted; the others stay."""
    failed = 0
    for letter in letters:
        try:
            with store.current().unit():
                points = ingest.store(_message(letter))
                store.current().delete(letter.owner, [letter.name])
            print(f"{letter.id}  stored, points: {points}")
        except errors.ApiError as error:
            failed += 1
            print(f"{letter.id}  not stored: {error.message}")
    return int(failed > 0)


def _message(letter: _Letter) -> ingest.Message:
    message, sender = letter.message, client_ids.device_of(client_id=letter.message["clientid"])
    if sender is None and letter.device:  # the token that sent it is gone
        sender = _sender(letter.device)
    return ingest.Message(
        sender, message["clientid"], message["topic"], letter.payload, int(message["timestamp"]), message["uuid"]
    )


def _sender(device: str) -> tuple[str, str] | None:
    """Return the profile that has a device, and the device; None: it does not exist."""
    prefix = names.profile("")
    for entity in store.current().list(names.PROFILES, prefix):
        if store.current().get(entity.name, names.device(device)) is not None:
            return entity.name.removeprefix(prefix), device
    return None
