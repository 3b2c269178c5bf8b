"""Gives every answer its envelope and logs the request."""

import functools
import logging
import time
from collections.abc import Callable

from chalice.app import Request, Response

from chalicelib import settings
from chalicelib.host import deadline, log
from chalicelib.host.deadline import Limits
from chalicelib.http import answers

_logger = logging.getLogger(__name__)
_MESSAGES = {404: "Route Not Found", 405: "Method Not Allowed"}
_BROKEN = "Internal error; the log holds the details under this request's id"


def close(event: Request, get_response: Callable[[Request], Response]) -> Response:
    """Chalice middleware: replaces the answers that Chalice itself writes, and logs the request."""
    started_ns = time.perf_counter_ns()
    deadline.begin(event.lambda_context, settings.REQUEST_LIMIT_S)
    try:
        return _complete(event, get_response(event), started_ns)
    finally:
        deadline.end()


def _complete(event: Request, response: Response, started_ns: int) -> Response:
    """Complete an answer, and log the request unless its answer is postponed."""
    if isinstance(response, answers.Postponed):
        response.finish = functools.partial(_resume, event, response.finish, response.limits, started_ns)
        return response
    if not answers.is_ours(response):
        status = response.status_code
        allow = {name: str(value) for name, value in response.headers.items() if name == "Allow"}
        message = _MESSAGES.get(status, _BROKEN)
        log.facts(event)["reason"] = message
        response = answers.failed(message, status, allow)
    answers.identify(response, event.context.get("requestId", ""))
    log.request(event, response.status_code, time.perf_counter_ns() - started_ns)
    return response


def _resume(event: Request, finish: Callable[[], Response], limits: Limits, started_ns: int) -> Response:
    """Go on with a request whose answer was postponed."""
    with deadline.using(limits):
        try:
            response = finish()
        except Exception:
            _logger.exception("The route failed")
            response = answers.failed(_BROKEN, 500)
        return _complete(event, response, started_ns)
