"""/am: the policies of access management."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import policies as schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.access import catalogue, policies


def list_policies(call: Call) -> Any:
    """List policies."""
    query = read_list(call.query, schema.LIST, clock.now_ms())
    return policies.list_page(profile=call.profile, query=query, may_see=call.may_see)


def create(call: Call) -> Any:
    """Create a policy."""
    return {"am_id": policies.create(profile=call.profile, sent=call.body)}


def info(call: Call) -> Any:
    """Return a policy."""
    return policies.info(profile=call.profile, policy=call.path["am_id"])


def edit(call: Call) -> Any:
    """Change a policy."""
    policies.edit(profile=call.profile, policy=call.path["am_id"], sent=call.body)
    return "Access Management Successfully Updated"


def delete(call: Call) -> Any:
    """Delete a policy."""
    policies.delete(profile=call.profile, policy=call.path["am_id"])
    return "Successfully Removed"


def settings(_: Call) -> Any:
    """Return what policies can allow."""
    return catalogue.shown()


_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route(
        "GET", "/am", list_policies, who=_WHO, grant="access_management/access",
        note="SDK. Each policy has `id`, `tags` and `profile`, never `permissions` or `targets`",
    ),
    Route(
        "POST", "/am", create, who=_WHO, need="write", body=schema.create, grant="access_management/create",
        rate="POST /am",
        note="SDK. Stored as sent, tuples cut to five parts. Refused: unknown resources, actions, kinds of target and "
        "effects, more than 100 permissions or targets. What is malformed matches nothing, and is logged",
    ),
    Route(
        "GET", "/am/{am_id}", info, who=_WHO, grant="access_management/access",
        note="SDK. `permissions` show allow before deny",
    ),
    Route(
        "PUT", "/am/{am_id}", edit, who=_WHO, need="write", body=schema.edit, grant="access_management/edit",
        rate="PUT /am",
        note="SDK. As `POST /am`. Counts at once in the process that made the change, elsewhere within 60 s",
    ),
    Route(
        "DELETE", "/am/{am_id}", delete, who=_WHO, need="full", grant="access_management/delete",
        note="SDK. The tag `_deletion_protection` is respected",
    ),
    Route(
        "GET", "/am/settings", settings, who=_WHO, grant="access_management/access",
        note="The grants that Decant has",
    ),
)  # fmt: skip
