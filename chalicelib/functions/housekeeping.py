"""The function that runs every hour.

It finishes erasures and changes of retention, corrects what was counted, and has the API keys compared. Once it
has the days sealed that earlier versions stored.
"""

from collections.abc import Callable
from typing import Any

from chalice.app import Blueprint, Rate

from chalicelib.host import deadline, log
from chalicelib.services.accounts import profile_erasures, teams
from chalicelib.services.devices import erasures, jobs, retention, sealings
from chalicelib.services.usage import balances, keys

bp = Blueprint(__name__)

_CHORES: dict[str, Callable[[], int]] = {
    "members": teams.resume,
    "erased": erasures.resume,
    "profiles": profile_erasures.resume,
    "retentions": retention.resume,
    "balanced": balances.correct,
    "keys": keys.remind,
    "sealed": sealings.find,
    "jobs": jobs.remind,
}
"""What is to be done, in order, and the name by which the log counts it."""


@bp.schedule(Rate(1, unit=Rate.HOURS), name="housekeeping")
def keep_house(event: Any) -> dict[str, int]:
    """Resume what was begun. If the store is down, it raises, and the run of the next hour resumes."""
    deadline.begin(event.context)
    done: dict[str, int] = {}
    failures: list[Exception] = []
    for name, work in _CHORES.items():
        try:
            done[name] = work()
        except Exception as error:  # one that fails does not keep the others from their work
            failures.append(error)
    if failures:
        raise failures[0]
    log.line(function="housekeeping", **done)
    return done
