"""The function that runs every hour: what was begun and cut short is finished."""

from typing import Any

from chalice.app import Blueprint, Rate

from chalicelib.host import deadline, log
from chalicelib.services.devices import erasures

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.HOURS), name="housekeeping")
def keep_house(event: Any) -> dict[str, int]:
    """Go on with erasures. Raises when the store is down: the next hour goes on."""
    deadline.begin(event.context)
    erased = erasures.resume()
    log.line(function="housekeeping", erased=erased)
    return {"erased": erased}
