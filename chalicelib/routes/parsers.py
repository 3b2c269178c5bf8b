"""/integration/parser/run: tries a payload parser out."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import Call, Route
from chalicelib.schemas import integrations as schema
from chalicelib.services.devices import parsers, trials


def run(call: Call) -> Any:
    """Run a payload parser on a sample, and store nothing."""
    trial = trials.begin(profile=call.profile, sent=call.body)
    return call.compute(lambda: trials.run(trial, now_ms=clock.now_ms()), parsers.SECONDS, "script")


ROUTES = (
    Route(
        "POST", "/integration/parser/run", run, need="write", body=schema.run_parser,
        note="Not TagoIO's: what a parser makes of a sample, with its log, and its error with the line. Stores nothing",
    ),
)  # fmt: skip
