"""Runs payload parsers as the API does: one stage, without a device, a store or a request."""

import json
from typing import Any, NamedTuple

from chalicelib import sandbox
from tests.kit.parsers import ready

ready()


class Ran(NamedTuple):
    """What a parser made of a payload: the points (or whatever ``payload`` was), its log, and its serial number."""

    payload: Any
    log: tuple[str, ...]
    serial: str | None


def run(
    source: str,
    payload: Any = None,
    *,
    raw: Any = None,
    params: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    has_serial: bool = False,
    budget: sandbox.Budget | None = None,
) -> Ran:
    """Run a parser.

    Args:
        source: its JavaScript.
        payload: what a client sends, or the stage before answers: text stays text, an object becomes a list of one.
        raw: what the client sent, if it is not ``payload``.
        params: the device's configuration parameters.
        tags: its tags.
        has_serial: whether it is a network's parser.
        budget: the time that it may take.

    Raises:
        sandbox.Failed: it failed.
    """
    sent = [] if payload is None else [payload] if isinstance(payload, dict) else payload
    device = {
        "id": "5f0c9b1a2d3e4f5061728394",
        "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()],
        "params": [{"key": key, "value": value, "sent": False} for key, value in (params or {}).items()],
    }
    output = sandbox.run(
        source, payload=json.dumps(sent), raw_payload=json.dumps(sent if raw is None else raw), device=json.dumps(device),
        budget=budget or sandbox.Budget(), has_serial=has_serial,
    )  # fmt: skip
    return Ran(json.loads(output.payload), output.log, output.serial)
