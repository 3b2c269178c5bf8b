"""The function that runs every hour. It finishes erasures that were interrupted."""

from typing import Any

from chalice.app import Blueprint, Rate

from chalicelib.host import deadline, log
from chalicelib.services.devices import erasures

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.HOURS), name="housekeeping")
def keep_house(event: Any) -> dict[str, int]:
    """Resume erasures. If the store is down, it raises, and the run of the next hour resumes."""
    deadline.begin(event.context)
    erased = erasures.resume()
    log.line(function="housekeeping", erased=erased)
    return {"erased": erased}
