"""Tries a payload parser out on a sample, and stores nothing."""

from typing import Any, NamedTuple

from chalicelib.schemas import payloads
from chalicelib.schemas.integrations import TrialIn
from chalicelib.services.access import reach
from chalicelib.services.devices import params, parsers
from chalicelib.services.devices.parsers import Chain, Stage
from chalicelib.store import Doc

_NO_DEVICE: Doc = {"id": "0" * 24, "type": "mutable", "tags": []}
"""What a parser sees of the device if none is named."""


class Trial(NamedTuple):
    """A parser and its sample."""

    chain: Chain
    raw: bytes
    payload: str
    """JSON, from ``schemas.payloads``."""


def begin(*, profile: str, sent: TrialIn) -> Trial:
    """Return a trial, with what the parser may see of the device.

    Raises:
        errors.NotFound: the profile has no such device.
        errors.BadRequest: the sample is empty, or is not what its content type says.

    Cost: one read, and one query a minute, if a device is named.
    """
    device, known = _NO_DEVICE, []
    if sent.get("device"):
        device = reach.device_or_raise(profile=profile, device=str(sent["device"]))
        known = params.remembered(device=device["id"])
    stage = Stage(sent.get("kind", "device"), sent["payload_decoder"] or "")
    raw = sent["payload"].encode()
    kind = sent.get("content_type", "").partition(";")[0].strip().lower()
    return Trial(Chain((stage,), device, known), raw, payloads.of_body(raw, kind))


def run(trial: Trial, *, now_ms: int) -> dict[str, Any]:
    """Run the parser. Uses no store; must not run in the event loop.

    Returns:
        ``points`` as they would be stored; ``log``, what the parser wrote and what was mended, a text a line;
        ``serial``, what the parser of a network has set; and ``error`` with ``message`` and ``line``, which is None if
        it is not known. The error is None, or there are no points.

    Raises:
        errors.Unavailable: it did not get its turn in time, or this server has no engine.

    Cost: as ``parsers.parse``.
    """
    try:
        parsed = parsers.parse(trial.chain, payload=trial.payload, raw=trial.raw, now_ms=now_ms)
    except parsers.Failed as failed:
        error = {"message": failed.message, "line": failed.line}
        return {"points": [], "log": [*failed.notes], "serial": None, "error": error}
    return {"points": parsed.sent.items, "log": [*parsed.notes], "serial": parsed.serial, "error": None}
