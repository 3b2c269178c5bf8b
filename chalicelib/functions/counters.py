"""The function that keeps the counters, from the stream of the table of segments. So storing needs only one write."""

import base64
from typing import Any

from chalice.app import Blueprint

from chalicelib.host import log
from chalicelib.services.usage import counters
from chalicelib.services.usage.counters import Change
from chalicelib.store import dynamodb, dynamodb_counters

bp = Blueprint(__name__)


@bp.lambda_function(name="counters")
def count(event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Add a batch of the stream to the counters. If the store is down, it raises, and Lambda delivers it again."""
    changes = [_change(record) for record in event["Records"]]
    added = counters.apply(changes=changes, add=dynamodb_counters.add)
    log.line(function="counters", records=len(changes), added=added)
    return {"added": added}


def _change(record: dict[str, Any]) -> Change:
    changed = record["dynamodb"]
    images = [_decoded(changed.get(name)) for name in ("OldImage", "NewImage")]
    old, new = (dynamodb.item_of(image) if image else None for image in images)
    image = images[1] or images[0] or {}
    return Change(changed["SequenceNumber"], image["profile"]["S"], old, new)


def _decoded(image: dict[str, Any] | None) -> dict[str, Any] | None:
    """Decode bytes, which the event's JSON holds as base64."""
    if image is None:
        return None
    return {
        name: {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) else value
        for name, value in image.items()
    }
