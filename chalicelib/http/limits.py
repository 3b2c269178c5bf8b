"""The wrapper's step that limits how often a profile calls a route, and the headers that tell the client."""

from collections.abc import Callable
from functools import lru_cache

from chalice.app import Request, Response

from chalicelib import errors, store
from chalicelib.http import answers, requests
from chalicelib.services.access.callers import Caller
from chalicelib.services.usage import minutes, rates
from chalicelib.services.usage.minutes import Taken
from chalicelib.store import Doc

_UNCOUNTED = (401, 429)


def take(
    caller: Caller, rate: str | None, name: str, request: Request, device: Callable[[], Doc | None]
) -> Taken | None:
    """Count a call; None if nothing limits it.

    In the embedded mode every rate is exact. On AWS the usage plans throttle, and this counts only what they cannot
    see: soft limits, and reads that aggregate. Each container of the function allows the whole limit of those.

    Args:
        caller: who calls.
        rate: the rate of the row.
        name: the rate, or the key of a row without one.
        request: Chalice's request.
        device: returns the device of the call; None if it has none.
    """
    return rates.take(
        caller.profile,
        rate,
        name=name,
        sharer=caller.subject or caller.fingerprint,
        aggregates=rate == "GET /data" and requests.asks_to_aggregate(request),
        device=device,
        is_gateway=not store.current().is_exclusive,
    )


def check(taken: Taken | None) -> None:
    """Refuse a call whose limit is used up.

    Raises:
        errors.TooManyRequests: the minute's limit is used up.
    """
    if taken is not None and not taken.is_allowed:
        raise errors.TooManyRequests(max(1, int(-(-minutes.left_s() // 1))))


def tell(taken: Taken, answer: Response) -> None:
    """Add the headers to the answer of a limited route. A call that does not count is given back instead."""
    if taken.is_allowed and answer.status_code in _UNCOUNTED:
        rates.give_back(taken)
        return
    answer.headers.update(_same(taken.limit, taken.minute))
    answer.headers[answers.RATE_REMAINING] = str(taken.remaining)


@lru_cache(maxsize=64)
def _same(limit: int, minute: int) -> dict[str, str]:
    """Return the headers that are the same for all calls of a limit and a minute."""
    return {
        answers.RATE_LIMIT: str(limit),
        answers.RATE_RESET: str((minute + 1) * 60),
        answers.EXPOSE: f"{answers.EXPOSED},{answers.RATE_LIMIT},{answers.RATE_REMAINING},{answers.RATE_RESET}",
    }
