"""/profile/{id}/auditlog: who changed what in a profile."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import Call, Route
from chalicelib.schemas import audit as schema
from chalicelib.services.accounts import audit


def start(call: Call) -> Any:
    """Search the audit log."""
    query = schema.read_query(call.query, clock.now_ms())
    return audit.search(caller=call.caller, profile=call.path["profile_id"], query=query)


def poll(call: Call) -> Any:
    """Return the answer to a query of the audit log again."""
    query = schema.from_id(call.path["query_id"])
    return audit.search(caller=call.caller, profile=call.path["profile_id"], query=query)


ROUTES = (
    Route(
        "GET", "/profile/{profile_id}/auditlog", start, need="full",
        note="SDK. For the owner of the profile. Answered at once: `status` is `Complete`, or `Timeout` if the range "
        "holds over 10,000 events. Events also have `account` and `address`. An event belongs to the profile of the "
        "token that made the change",
    ),
    Route(
        "GET", "/profile/{profile_id}/auditlog/{query_id}", poll, need="full",
        note="SDK. The id holds the query, which is answered anew",
    ),
)  # fmt: skip
