"""/analysis: programs that run elsewhere and call the API with a token of their own."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import analyses as schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.access import analyses
from chalicelib.services.accounts import roles


def list_analyses(call: Call) -> Any:
    """List analyses."""
    query = read_list(call.query, schema.LIST, clock.now_ms())
    return analyses.list_page(profile=call.profile, query=query, may_see=call.may_see)


def create(call: Call) -> Any:
    """Create an analysis."""
    return analyses.create(profile=call.profile, sent=call.body, giver=call.caller)


def info(call: Call) -> Any:
    """Return an analysis."""
    caller, analysis = call.caller, call.path["analysis_id"]
    if caller.kind == PROFILE:
        return analyses.info(profile=call.profile, analysis=analysis, sees=roles.reader(caller).sees)
    is_own = caller.subject == analysis and caller.may("full")
    return analyses.info(profile=call.profile, analysis=analysis, sees=lambda _: is_own)


def edit(call: Call) -> Any:
    """Change an analysis."""
    analyses.edit(profile=call.profile, analysis=call.path["analysis_id"], sent=call.body)
    return "Successfully Updated"


def delete(call: Call) -> Any:
    """Delete an analysis."""
    analyses.delete(profile=call.profile, analysis=call.path["analysis_id"])
    return "Successfully Removed"


def token(call: Call) -> Any:
    """Return the token of an analysis."""
    caller, analysis = call.caller, call.path["analysis_id"]
    sees = roles.reader(caller).sees
    return {"analysis_token": analyses.token_of(profile=call.profile, analysis=analysis, giver=caller, sees=sees)}


def run(call: Call) -> Any:
    """Refuse to run an analysis."""
    analyses.refuse_to_run(profile=call.profile, analysis=call.path["analysis_id"])


def upload(call: Call) -> Any:
    """Refuse the code of an analysis."""
    analyses.refuse_to_run(profile=call.profile, analysis=call.path["analysis_id"])


def download(call: Call) -> Any:
    """Refuse to return the code of an analysis."""
    analyses.refuse_to_run(profile=call.profile, analysis=call.path["analysis_id"])


_WHO = (PROFILE, ANALYSIS)
_NO_CODE = "partly: SDK. 400 `Decant runs no analyses`"
ROUTES = (
    Route("GET", "/analysis", list_analyses, rate="GET /analysis", who=_WHO, grant="analysis/access", note="SDK"),
    Route(
        "POST", "/analysis", create, who=_WHO, need="full", body=schema.create, grant="analysis/create",
        rate="POST /analysis",
        note="SDK. `run_on`, `runtime`, `interval` and `variables` are stored, and nothing uses them. Its token "
        "has the permission full, and so must have the token that asks",
    ),
    Route(
        "GET", "/analysis/{analysis_id}", info, rate="GET /analysis", who=_WHO, grant="analysis/access",
        note="partly: SDK. `last_run` and `locked_at` are always null, `console` is empty. `token` is null for a "
        "profile token that is not full, and for other analyses",
    ),
    Route(
        "PUT", "/analysis/{analysis_id}", edit, who=_WHO, need="write", body=schema.edit, grant="analysis/create",
        rate="PUT /analysis", note="SDK. The token of an inactive analysis is refused, in other processes within 60 s",
    ),
    Route(
        "DELETE", "/analysis/{analysis_id}", delete, who=_WHO, need="full", grant="analysis/delete",
        rate="DELETE /analysis", note="SDK",
    ),
    Route("GET", "/analysis/{analysis_id}/token", token, need="full", note="SDK"),
    Route("POST", "/analysis/{analysis_id}/run", run, need="write", note=_NO_CODE),
    Route(
        "POST", "/analysis/{analysis_id}/upload", upload, need="write", rate="POST /analysis/:id/upload", note=_NO_CODE,
    ),
    Route("GET", "/analysis/{analysis_id}/download", download, note=_NO_CODE),
)  # fmt: skip
