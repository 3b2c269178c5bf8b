"""The function that keeps the counters, from the stream of the table of segments. So storing needs only one write."""

import base64
from typing import Any

from chalice.app import Blueprint

from chalicelib import errors, settings
from chalicelib.codec.segment import Item
from chalicelib.host import clock, deadline, failures, log, sealer
from chalicelib.services.points import sealable
from chalicelib.services.usage import counters, quotas
from chalicelib.services.usage.counters import Change, Sum
from chalicelib.store import Counted, Delta, calls, dynamodb, dynamodb_counters, dynamodb_sealed

bp = Blueprint(__name__)


@bp.lambda_function(name="counters")
def count(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Add a batch of the stream to the counters.

    A device is set aside into the queue of failures if a change of it cannot be decoded, or if its counters will never
    accept the changes. The rest of the batch is counted. This comes last: if it fails, the batch comes again.

    Args:
        event: ``Records`` of the stream, with both images.
        context: Lambda's context object.

    Raises:
        errors.Unavailable: DynamoDB did not take all updates, the queue of failures did not take a device, or the time
            is up. Lambda delivers the batch again, until its records expire after a day. What is counted already is not
            counted again.
    """
    deadline.begin(context)
    calls.connect()
    changes, uncounted = _changes(event["Records"])
    applied = counters.apply(changes=changes, add=_add, settle=_settle)
    uncounted |= applied.rejected
    for device, reason in uncounted.items():
        failures.keep_uncounted(device=device, reason=reason)
    log.line(
        "warning" if uncounted else "info",
        function="counters",
        records=len(event["Records"]),
        added=applied.added,
        set_aside=len(uncounted),
    )
    return {"added": applied.added, "set_aside": len(uncounted)}


def _settle(added: Sum) -> None:
    """Add to what the profile has used. If this fails, housekeeping corrects it within the hour."""
    try:
        dynamodb_counters.add_to_profile(*added)
        quotas.settle(profile=added.profile)
    except errors.ApiError as error:
        log.line("warning", function="counters", profile=added.profile, unsettled=log.cause(error))


def _changes(records: list[dict[str, Any]]) -> tuple[list[Change], dict[str, str]]:
    """Return the changes, and by device why others cannot be decoded."""
    changes, undecoded = [], {}
    for record in records:
        try:
            changes.append(_change(record))
        except Exception as error:  # whatever is wrong with a record is wrong each time that it is delivered
            device = record["dynamodb"]["Keys"]["device"]["S"]
            undecoded[device] = f"A change cannot be decoded: {type(error).__name__}"
    return changes, undecoded


def _change(record: dict[str, Any]) -> Change:
    """Read a record. One that the table's own expiry made has the same form.

    Of the attributes, only ``profile`` may be missing: early versions did not store it.
    """
    changed = record["dynamodb"]
    old, new = changed.get("OldImage"), changed.get("NewImage")
    images = [image for image in (new, old) if image]
    is_new_segment = new is not None and old is None and not dynamodb_sealed.is_sealed(new)
    is_sent = is_new_segment and "imported" not in new  # what a file brought is no input
    points_in, sent_ms = counters.sent(_item(new)) if is_sent else (0, None)
    return Change(
        device=images[0]["device"]["S"],
        profile=next((image["profile"]["S"] for image in images if "profile" in image), None),
        stream=record["eventSourceARN"].rpartition("/")[2],
        sequence=counters.pad(changed["SequenceNumber"]),
        at_ms=int(changed.get("ApproximateCreationDateTime", clock.now_ms() / 1000) * 1000),
        points_in=points_in,
        records=_points(new) - _points(old),
        sent_ms=sent_ms,
        day=_day(new) if is_new_segment and settings.current().sealing else None,
    )


def _points(image: dict[str, Any] | None) -> int:
    return dynamodb_sealed.points_of(image) if image else 0


def _day(image: dict[str, Any]) -> int | None:
    expires_at = int(image["expires_at"]["N"]) if "expires_at" in image else None
    return sealable.day_of(key=image["key"]["S"], points=int(image["points"]["N"]), expires_at=expires_at)


def _add(delta: Delta) -> Counted | None:
    return dynamodb_counters.add(delta, _ask)


def _ask(profile: str, device: str) -> None:
    """Ask for the sealing of a device's days. If the queue does not take it, the next day's changes ask again."""
    try:
        sealer.ask(profile=profile, device=device)
    except errors.Unavailable as error:
        log.line("warning", function="counters", device=device, not_asked=log.cause(error))


def _item(image: dict[str, Any]) -> Item:
    """Decode a whole segment. The event's JSON holds bytes as base64."""
    binary = {name: {"B": base64.b64decode(value["B"])} for name, value in image.items() if "B" in value}
    return dynamodb.item_of(image | binary)
