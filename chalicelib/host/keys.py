"""Asks for the API keys of profiles. On AWS a queue takes the requests, and the function ``keys`` fulfils them."""

from collections.abc import Callable
from typing import Any, Literal

from chalicelib import errors, settings
from chalicelib.host import log, queues
from chalicelib.host.slot import Slot

Task = Literal["compare", "tidy"]
"""Compare all profiles with all keys; or delete the keys that were replaced."""


def request(profile: str, plan: str) -> None:
    """Ask for the API key of a profile, after the profile was stored with the plan, or was deleted. Never raises.

    Until the key works, the authorizer hands out the key that waiting profiles share. If the queue does not answer,
    the nightly comparison asks again. In the embedded mode it does nothing.

    Cost: one call on AWS; the first time another one, to find the queue.
    """
    _ask({"profile": profile, "plan": plan})


def begin(task: Task) -> None:
    """Ask the function for work that concerns all keys. Never raises: the housekeeping asks again."""
    _ask({"task": task})


def nobody(_: dict[str, Any]) -> None:
    """Make no key: where there is no API Gateway, or where the caller makes the keys itself."""


def _ask(document: dict[str, Any]) -> None:
    try:
        _slot.current()(document)
    except errors.Unavailable as error:
        log.line("error", asked_for=document, failed=log.cause(error))


def _in_sqs() -> Callable[[dict[str, Any]], None]:
    return queues.sender(settings.current().keys_queue)


_slot = Slot(_in_sqs)
use = _slot.use
