"""/openapi.json: the description of the API."""

from typing import Any

from chalicelib.http.answers import Bare
from chalicelib.http.route import Call, Route


def describe(_: Call) -> Any:
    """Describe the API as an OpenAPI document."""
    from chalicelib import routes  # noqa: PLC0415 - it imports this module
    from chalicelib.openapi import document  # noqa: PLC0415 - only this route needs it

    return Bare(document.text(routes.ALL))


ROUTES = (
    Route(
        "GET", "/openapi.json", describe, who=(),
        note="Needs no token, and has no envelope. OpenAPI 3.1, with the plans of this installation",
    ),
)  # fmt: skip
