"""/tags/keys: the keys of tags."""

from typing import Any

from chalicelib.http.route import Call, Route
from chalicelib.schemas.parameters import choice
from chalicelib.services.accounts import tags


def list_keys(call: Call) -> Any:
    """List the keys of the tags of a type of object."""
    return tags.keys(profile=call.profile, of=choice("type", call.path["tagged"].lower(), tags.TYPES))


ROUTES = (
    Route(
        "GET", "/tags/keys/{tagged}", list_keys, rate="GET /tags/keys/:type",
        note="SDK. device, analysis, action, user; dashboard has none",
    ),
)  # fmt: skip
