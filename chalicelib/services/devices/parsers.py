"""Runs the payload parsers of a device: that of its network, of its connector, and its own.

Each gets what the one before it gave. The engine runs them; this module feeds them, and makes points of what they give.

Source: TagoIO, "Payload parser". Errors name the parser and the line, as its API does since 5.4.0.
"""

import base64
import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from chalicelib import errors, sandbox
from chalicelib.codec import jsontext
from chalicelib.host import deadline, events
from chalicelib.sandbox import Budget, Output
from chalicelib.schemas import ignored, points, records
from chalicelib.schemas.points import Sent
from chalicelib.services.devices import integrations, params
from chalicelib.services.points import expiry
from chalicelib.store import Doc

SECONDS = sandbox.WALL_S
"""How long the parsers of a request may take. That is too long for the event loop."""
TITLE = "[Parser] Log"
NO_TURN = "The payload parser did not get its turn in time, try again"
NO_SERIAL = "the parser of the network must set serial"


Kind = Literal["network", "connector", "device"]
_KINDS: tuple[Kind, ...] = ("network", "connector", "device")
"""Whose a parser is, in the order in which they run."""


class Stage(NamedTuple):
    """A parser of the chain."""

    kind: Kind
    decoder: str
    """Its source in base64."""


class Chain(NamedTuple):
    """The parsers of a device, and what they may know of it."""

    stages: tuple[Stage, ...]
    device: Doc
    params: list[Doc]


class Parsed(NamedTuple):
    """What the parsers have made of a payload."""

    sent: Sent
    notes: tuple[str, ...] = ()
    """What they wrote to the console, and which records were mended or dropped, a line each. For the inspector."""
    dropped: int = 0
    """How many of their records were dropped."""
    serial: str | None = None
    """What the parser of the network has set ``serial`` to, if it is in the chain."""


class Serial(NamedTuple):
    """What the parser of a network has made of a payload."""

    serial: str
    """The serial number of the device that the payload is from."""
    payload: str
    """JSON, for the next parser."""
    notes: tuple[str, ...]
    left: Budget
    """How long the parsers of the device may run."""
    now_ms: int
    """Where the parser's clock stood."""


class Failed(errors.BadRequest):
    """A parser failed. Nothing may be stored.

    Args:
        text: what is wrong.
        place: the parser and the line.
        notes: what the parsers wrote to the console before.
        line: the line of the parser's source, from 1, if it is known.
    """

    def __init__(self, text: str, place: str, notes: tuple[str, ...], line: int | None = None) -> None:
        super().__init__(f"Function Parse Error: {text} ({place})")
        self.reason, self.notes, self.line = f"a payload parser failed ({place})", notes, line


def chain_of(device: Doc, *, has_network: bool = True) -> Chain | None:
    """Return the parsers of a device; None if it has none.

    Args:
        device: as stored.
        has_network: whether the parser of the network is a part. It is not if it has found the device.

    Cost: none for a device without parsers whose network and connector are in the catalogue. For another, that of
    ``integrations.connector``. If there is a parser, one query a minute, for the device's parameters.
    """
    profile = device["profile"]
    network = integrations.network(profile, device["network"]) if has_network else None
    connector = integrations.connector(profile, device["connector"])
    decoders = [None if doc is None else doc.get("payload_decoder") for doc in (network, connector, device)]
    if not any(decoders):
        return None
    stages = tuple([Stage(kind, decoder) for kind, decoder in zip(_KINDS, decoders, strict=True) if decoder])
    return Chain(stages, device, params.remembered(device=device["id"]))


def chain_after_network(device: Doc) -> Chain:
    """Return the other parsers of a device that the parser of its network has found. Cost: as ``chain_of``."""
    return chain_of(device, has_network=False) or Chain((), device, [])


def parse(chain: Chain, *, payload: str, raw: bytes, now_ms: int, serial: Serial | None = None) -> Parsed:
    """Run the parsers of a device, and mend what they give. Uses no store; must not run in the event loop.

    Args:
        chain: from ``chain_of``; with ``serial``, from ``chain_after_network``.
        payload: JSON, from ``schemas.payloads``.
        raw: the body as received, by which a retry is recognised.
        now_ms: the time of arrival. It stands still while they run, so that they make the same of a retry.
        serial: what the parser of the network has made of the payload, by which it found the device.

    Raises:
        Failed: a parser failed, or gave something else than records.
        errors.Unavailable: it did not get its turn before the end of the request.

    Cost: about 1 ms a parser, at most 1.8 s; and 30 microseconds a record.
    """
    run = _Run(_shown(chain), payload, now_ms, serial)
    named = None
    for stage in chain.stages:
        named = run.through(stage).serial or named
    last = chain.stages[-1].kind if chain.stages else "network"
    try:
        made = records.read(run.payload)
    except ValueError as error:
        raise run.failed(str(error), last) from None
    mended = records.mend(made, now_ms=now_ms, window=expiry.accepted_ms(chain.device, now_ms))
    unread = ignored.fields(run.payload.encode(), mended.items, points.FIELDS)
    made_of_it = jsontext.dumps(mended.items).encode()
    return Parsed(Sent(mended.items, raw, unread, made_of_it), (*run.notes, *mended.notes), mended.dropped, named)


def find_serial(*, network: Doc, payload: str, now_ms: int) -> Serial:
    """Run the parser of a network, which says which device a payload is from. Uses no store, as ``parse``.

    Args:
        network: as stored.
        payload: JSON, from ``schemas.payloads``.
        now_ms: the time of arrival.

    Raises:
        Failed: the parser failed, or set no serial number, or there is none.
        errors.Unavailable: as ``parse``.
    """
    run = _Run(_NO_DEVICE, payload, now_ms)
    serial = None
    if network.get("payload_decoder"):
        serial = run.through(Stage("network", network["payload_decoder"])).serial
    if not serial or not serial.strip():
        raise run.failed(NO_SERIAL, "network")
    return Serial(_printable(serial), run.payload, tuple(run.notes), run.budget, now_ms)


@contextlib.contextmanager
def showing(device: str) -> Iterator[None]:
    """Show in the inspector of a device why its parsers failed, if they do in this block."""
    try:
        yield
    except Failed as error:
        show(device, (*error.notes, error.message))
        raise


def show(device: str, notes: tuple[str, ...]) -> None:
    """Show lines in the inspector of a device. Called in the event loop."""
    if notes:
        events.current().seen(device, TITLE, "\n".join(notes))


class _Run:
    """A payload on its way through the parsers.

    Args:
        device: JSON, what they may know of the device.
        payload: JSON, what the first one gets.
        now_ms: the time of arrival.
        serial: what the parser of the network has made of the payload. None: it has not run yet.
    """

    def __init__(self, device: str, payload: str, now_ms: int, serial: Serial | None = None) -> None:
        self.payload = serial.payload if serial else payload
        self.notes = [*serial.notes] if serial else []
        self.budget = Budget(serial.left.cpu_s, serial.left.wall_s) if serial else Budget()
        self._raw, self._device, self._now_ms = payload, device, now_ms

    def through(self, stage: Stage) -> Output:
        """Let the next parser work on the payload."""
        if deadline.has_passed():
            raise errors.Unavailable(NO_TURN)
        try:
            output = sandbox.run(
                _source(stage.decoder), payload=self.payload, raw_payload=self._raw, device=self._device,
                budget=self.budget, has_serial=stage.kind == "network", now_ms=self._now_ms,
            )  # fmt: skip
        except sandbox.Missing as error:
            raise errors.Unavailable("Payload parsers do not run on this server at the moment") from error
        except sandbox.Failed as error:
            self._note(stage.kind, error.log)
            if self.budget.is_starved:
                raise errors.Unavailable(NO_TURN) from None
            raise self.failed(error.text, stage.kind, error.line) from None
        self._note(stage.kind, output.log)
        self.payload = _listed(output.payload)
        return output

    def _note(self, kind: str, log: tuple[str, ...]) -> None:
        self.notes += [f"{kind}: {_printable(line)}" for line in log]

    def failed(self, text: str, kind: str, line: int | None = None) -> Failed:
        """Return the error of a parser."""
        place = f"{kind} parser" if line is None else f"{kind} parser, line {line}"
        return Failed(_printable(text), place, tuple(self.notes), line)


def _listed(payload: str) -> str:
    """Return the output of a parser as the next one gets it: a list, even of one or none. A text stays one."""
    return "[]" if payload == "null" else f"[{payload}]" if payload.startswith("{") else payload


@lru_cache(maxsize=64)
def _source(decoder: str) -> str:
    return base64.b64decode(decoder).decode(errors="replace")


def _printable(text: str) -> str:
    """Return a text of a parser without what terminals obey, and without halves of surrogate pairs."""
    return "".join([char if char.isprintable() else "?" for char in text])


def _shown(chain: Chain) -> str:
    """Return what parsers may know of a device, as JSON."""
    device: dict[str, Any] = {"id": chain.device["id"], "tags": chain.device["tags"], "params": chain.params}
    return jsontext.dumps(device)


_NO_DEVICE = jsontext.dumps({"id": None, "tags": [], "params": []})
