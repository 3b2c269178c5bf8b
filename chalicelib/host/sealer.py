"""Asks for the sealing of a device's past days. A queue takes the requests for the function ``sealer``. Only on AWS."""

from collections.abc import Callable
from typing import Any

from chalicelib import settings
from chalicelib.host import queues
from chalicelib.host.slot import Slot

MOST_DELAY_S = 900
"""The longest delay that SQS takes."""


def ask(*, profile: str, device: str, days: tuple[int, int] | None = None, delay_s: int = 0) -> None:
    """Ask for the sealing of a device's days.

    Args:
        profile: the profile of the device.
        device: its id.
        days: the first and last day, since 1970. None: those whose segments were counted since the last time.
        delay_s: how long to wait at least, up to 15 minutes.

    Raises:
        errors.Unavailable: the queue did not take it.

    Cost: one call; the first time another one, to find the queue.
    """
    document: dict[str, Any] = {"profile": profile, "device": device}
    if days is not None:
        document["days"] = [*days]
    _slot.current()(document, min(delay_s, MOST_DELAY_S))


def _in_sqs() -> Callable[[dict[str, Any], int], None]:
    return queues.sender(settings.current().sealer_queue)


_slot = Slot(_in_sqs)
use = _slot.use
