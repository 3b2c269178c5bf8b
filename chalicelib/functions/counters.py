"""The function behind the stream of the table of segments: keeps the counters, so that storing is a single write."""

import base64
from typing import Any

from chalice.app import Blueprint

from chalicelib.host import log
from chalicelib.services.usage import counters
from chalicelib.services.usage.counters import Change
from chalicelib.store import counting, dynamodb

bp = Blueprint(__name__)


@bp.lambda_function(name="counters")
def count(event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Add a batch of the stream to the counters. Raises when the store is down: Lambda delivers the batch again."""
    changes = [_change(record) for record in event["Records"]]
    added = counters.apply(changes=changes, here=counting)
    log.line(function="counters", records=len(changes), added=added)
    return {"added": added}


def _change(record: dict[str, Any]) -> Change:
    found = record["dynamodb"]
    images = [_decoded(found.get(name)) for name in ("OldImage", "NewImage")]
    old, new = (dynamodb.item_of(image) if image else None for image in images)
    image = images[1] or images[0] or {}
    return Change(found["SequenceNumber"], image["profile"]["S"], old, new)


def _decoded(image: dict[str, Any] | None) -> dict[str, Any] | None:
    """Undo the base64 that carries bytes through the event's JSON."""
    if image is None:
        return None
    return {
        name: {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) else value
        for name, value in image.items()
    }
