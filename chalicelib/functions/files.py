"""The function that works on backups and restores, from a queue with one message a device."""

import json
from typing import Any

from chalice.app import Blueprint

from chalicelib.host import clock, deadline, log
from chalicelib.host import jobs as queue
from chalicelib.services.devices import jobs

bp = Blueprint(__name__)

STEP_S = 60.0
"""A step begins only if so much time is left: S3 and DynamoDB may be slow."""
AGAIN_S = 300
"""After how long to look again at a job that another process works on."""


@bp.lambda_function(name="files")
def work(event: dict[str, Any], context: Any) -> None:
    """Work on the job of a device, and ask to come again if something is left.

    Args:
        event: ``Records`` of the queue, one at a time: bodies as ``host.jobs.ask`` sends them.
        context: Lambda's context object.

    Raises:
        errors.Unavailable: the store, the files or the queue failed. SQS delivers the message again, five times in all,
            before it goes to the queue of failures. The housekeeping asks for the job each hour.
    """
    deadline.begin(context)
    for record in event["Records"]:
        device = json.loads(record["body"])["device"]
        steps = _work(device)
        log.line(function="files", device=device, steps=steps)


def _work(device: str) -> int:
    """Work on the job of a device; return how many steps were made."""
    entity = jobs.of_device(device)
    if entity is None:
        return 0
    claimed = jobs.claim(entity, until_ms=clock.now_ms() + int(_left_s() * 1000))
    if claimed is None:
        queue.ask(device=device, delay_s=AGAIN_S)
        return 0
    entity, steps = claimed, 0
    while _left_s() > STEP_S:
        kept = jobs.keep(jobs.do(entity))
        steps += 1
        if kept is None:
            return steps
        entity = kept
    jobs.claim(entity, until_ms=0)
    queue.ask(device=device)
    return steps


def _left_s() -> float:
    """Return for how many seconds this call may still work."""
    return min(deadline.current().end_s - clock.monotonic_s(), jobs.MOST_CLAIMED_S)
