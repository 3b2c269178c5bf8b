"""The function that seals the past days of devices, from a queue with one message a device and day."""

import json
from typing import Any

from chalice.app import Blueprint

from chalicelib.host import deadline, log, sealer
from chalicelib.services.devices import sealings
from chalicelib.store import dynamodb_counters

bp = Blueprint(__name__)

DAYS = 16
"""How many days of one message are worked on at a time."""


@bp.lambda_function(name="sealer")
def seal(event: dict[str, Any], context: Any) -> None:
    """Work on a device: seal its days, and delete what was sealed before.

    It asks itself to come again as long as something is left.

    Args:
        event: ``Records`` of the queue, one at a time: bodies as ``host.sealer.ask`` sends them.
        context: Lambda's context object.

    Raises:
        errors.Unavailable: the store or the queue failed. SQS delivers the message again, five times in all, before it
            goes to the queue of failures.
    """
    deadline.begin(context)
    for record in event["Records"]:
        body = json.loads(record["body"])
        left_s = _work(body["profile"], body["device"], body.get("days"))
        log.line(function="sealer", device=body["device"], left_s=left_s)


def _work(profile: str, device: str, days: list[int] | None) -> int | None:
    """Work on a device. Return in how many seconds to come again; None: nothing is left."""
    wait_s = sealings.waits_s()
    if wait_s:
        sealer.ask(profile=profile, device=device, days=(days[0], days[1]) if days else None, delay_s=wait_s)
        return wait_s
    if days:
        first, last = days
        until = min(last + 1, first + DAYS)
        wanted = {*range(first, until)}
        if until <= last:
            sealer.ask(profile=profile, device=device, days=(until, last), delay_s=sealer.MOST_DELAY_S)
    else:
        wanted = dynamodb_counters.days(profile, device)
    ended = {day for day in wanted if sealings.has_ended(day)}
    if ended:
        sealings.note(profile=profile, device=device, days=ended)
        dynamodb_counters.forget_days(profile, device, ended)
    left_s = sealings.advance(profile=profile, device=device)
    if left_s is not None:
        sealer.ask(profile=profile, device=device, delay_s=left_s)
    return left_s
