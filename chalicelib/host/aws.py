"""Makes the clients of AWS's services. All have the same time-outs and retries, and none works past the deadline.

A call is up to four tries of at most ``TRY_S``, with pauses between them. After the end of the current work (see
``deadline``), no call is tried again. If the limits are strict, no call begins either, so a function answers at most
``TRY_S`` after their end. Nothing here limits how long DNS takes, nor an answer that arrives bit by bit. Lambda's own
time-out ends these.
"""

from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.host import clock, deadline

CONNECT_TIMEOUT_S = 0.5
READ_TIMEOUT_S = 1.0
"""DynamoDB, SSM, SQS and IoT Core answer within some ten milliseconds."""
TRY_S = CONNECT_TIMEOUT_S + READ_TIMEOUT_S
RETRIES = 3
FAILURES = (BotoCoreError, ClientError)
"""What a call raises if it fails."""
_ASKED_S = 5.0
"""How much longer than by itself botocore may pause if a service asks for it."""


class OutOfTime(BotoCoreError):  # type: ignore[misc]
    """A call was not begun, as the time of the current work is over."""

    fmt = "No time is left to call AWS"


def client(service: str, read_timeout_s: float = READ_TIMEOUT_S, **more: Any) -> Any:
    """Return a client of a service, by the name that botocore gives it. Cost: 50 to 130 ms.

    Args:
        service: the name.
        read_timeout_s: how long the service may take to answer.
        more: arguments of botocore's ``Config``.
    """
    retries = {"mode": "standard", "total_max_attempts": RETRIES + 1}
    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=read_timeout_s, retries=retries, **more)
    made = botocore.session.get_session().create_client(service, config=config)
    limit(made)
    return made


def limit(client: Any) -> None:
    """Make a client keep to the deadline of the thread that calls it."""
    client.meta.events.register_first("provide-client-params", _check_call)
    client.meta.events.register_first("needs-retry", _check_retry)


def _check_call(**_: Any) -> None:
    """Refuse a call after the end of strict limits."""
    if deadline.current().is_strict and deadline.has_passed():
        raise OutOfTime


def _check_retry(*, attempts: int, operation: Any, response: Any, caught_exception: Any, **_: Any) -> None:
    """Raise the error of a try if another one might begin after the deadline. botocore asks this after every try."""
    if clock.monotonic_s() + _longest_pause_s(attempts, response) < deadline.current().end_s:
        return
    if caught_exception is not None:
        raise caught_exception
    http_response, parsed = response
    if http_response.status_code >= 300:
        raise ClientError(parsed, operation.name)


def _longest_pause_s(attempts: int, response: Any) -> float:
    """Return the longest pause that botocore may make after so many tries. What it makes is random."""
    is_asked = response is not None and "x-amz-retry-after" in response[0].headers
    return 2.0 ** (attempts - 1) + (_ASKED_S if is_asked else 0.0)
