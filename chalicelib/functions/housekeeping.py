"""The function that runs every hour. It finishes erasures, and lets stored points follow changes of retention."""

from typing import Any

from chalice.app import Blueprint, Rate

from chalicelib.host import deadline, log
from chalicelib.services.devices import erasures, retention

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.HOURS), name="housekeeping")
def keep_house(event: Any) -> dict[str, int]:
    """Resume what was begun. If the store is down, it raises, and the run of the next hour resumes."""
    deadline.begin(event.context)
    done: dict[str, int] = {}
    try:  # one that fails does not keep the other from its work
        done["erased"] = erasures.resume()
    finally:
        done["retentions"] = retention.resume()
    log.line(function="housekeeping", **done)
    return done
