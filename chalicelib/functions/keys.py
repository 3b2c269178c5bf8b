"""The function that makes the API keys of profiles, from a queue with one group: one batch after the other."""

import json
from collections.abc import Callable
from typing import Any

from chalice.app import Blueprint

from chalicelib import errors
from chalicelib.host import deadline, log
from chalicelib.host.keys import Task
from chalicelib.services.usage import keys
from chalicelib.services.usage.keys import Request

bp = Blueprint(__name__)

_TASKS: dict[Task, Callable[[], int]] = {"compare": keys.compare, "tidy": keys.tidy}


@bp.lambda_function(name="keys")
def make(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Fulfil a batch of requests.

    Args:
        event: ``Records`` of the queue: bodies ``{"profile", "plan"}`` or ``{"task"}``, as ``host.keys`` sends them.
        context: Lambda's context object.

    Returns:
        ``batchItemFailures``: what Lambda delivers again, five times in all, before it goes to the dead letters.
    """
    deadline.begin(context)
    ids: list[str] = []
    wanted: list[Request] = []
    failed: list[str] = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        if "task" in body:
            task = _TASKS[body["task"]]
            failed += [record["messageId"]] if _result(body["task"], task) is None else []
        else:
            ids.append(record["messageId"])
            wanted.append(Request(body["profile"], body["plan"]))
    if wanted:
        failed += ids[_result("make", lambda: keys.fulfil(wanted)) or 0 :]
    log.line("warning" if failed else "info", function="keys", requests=len(event["Records"]), failed=len(failed))
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


def _result(task: str, work: Callable[[], int]) -> int | None:
    """Return what some work returns, or None if it failed."""
    try:
        count = work()
    except errors.ApiError as error:
        log.line("error", function="keys", task=task, failed=log.cause(error))
        return None
    log.line(function="keys", task=task, keys=count)
    return count
