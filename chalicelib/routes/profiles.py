"""/profile: the profiles of the caller's account."""

from typing import Any

from chalicelib import errors
from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.routes.accounts import log_in
from chalicelib.schemas import parameters
from chalicelib.schemas import profiles as schema
from chalicelib.schemas.statistics import read_statistics
from chalicelib.services.access import made
from chalicelib.services.accounts import accounts, allocations, profile_erasures, profiles, roles
from chalicelib.services.usage import quotas, statistics


def list_profiles(call: Call) -> Any:
    """List the profiles of the account, and those that others share with it."""
    listed = profiles.list_of(account=accounts.acting_for(call.caller), profile=call.profile)
    if call.may_see is None:
        return listed
    own = {"id": call.profile, "tags": []}  # a policy is about the profile that it belongs to
    return [row for row in listed if row["id"] == call.profile and call.may_see(own)]


def create(call: Call) -> Any:
    """Create a profile."""
    account = accounts.get_or_raise(accounts.acting_for(call.caller))["id"]
    return {"id": profiles.add(sent=call.body, account=account)}


def info(call: Call) -> Any:
    """Return a profile."""
    return profiles.show(roles.reached(call.caller, call.path["profile_id"]).profile)


def summary(call: Call) -> Any:
    """Return what a profile may use, has used, and has."""
    shown = quotas.summary(profile=roles.reached(call.caller, call.path["profile_id"]).id)
    return {"amount": shown["amount"]} if parameters.flag(call.query, "onlyAmount") else shown


def list_usage(call: Call) -> Any:
    """Return what a profile has used over time."""
    query = read_statistics(call.query, clock.now_ms())
    return statistics.of_profile(profile=roles.reached(call.caller, call.path["profile_id"]).id, query=query)


def edit(call: Call) -> Any:
    """Change a profile."""
    profiles.edit(profile=roles.owned(call.caller, call.path["profile_id"]).id, sent=call.body)
    return "Successfully Updated"


def delete(call: Call) -> Any:
    """Delete a profile and all it has."""
    found = roles.owned(call.caller, call.path["profile_id"])
    email = accounts.get_or_raise(found.account)["email"]
    log_in(call, "token", email)
    profile_erasures.erase(profile=found.id, account=found.account)
    return "Successfully Removed"


def switch(call: Call) -> Any:
    """Move the calling token to another profile."""
    target = roles.reached(call.caller, call.path["profile_id"])
    if target.id == call.profile:
        raise errors.BadRequest("The token belongs to this profile already")
    made.move(caller=call.caller, profile=target.id, account=target.account)
    return "Successfully Updated"


def list_allocation(call: Call) -> Any:
    """List what each profile of the account may use."""
    return allocations.list_of(account=accounts.acting_for(call.caller), profile=call.profile)


def allocate(call: Call) -> Any:
    """Change what each profile of the account may use."""
    for one in call.body:
        allocations.check(profile=roles.owned(call.caller, one["profile"]).id, sent=one)
    return "Profile resource allocation Successfully Updated"


def addons(call: Call) -> Any:
    """List the add-ons of a profile: there are none."""
    roles.reached(call.caller, call.path["profile_id"])
    return []


def refuse_addons(call: Call) -> Any:
    """Refuse to change add-ons."""
    roles.owned(call.caller, call.path["profile_id"])
    raise errors.BadRequest("Decant has no add-ons: all that it can do is there already")


def refuse_services(call: Call) -> Any:
    """Refuse to change services."""
    roles.owned(call.caller, call.path["profile_id"])
    raise errors.BadRequest("Decant sells no services: a profile has the quotas of its plan, which the operator sets")


def refuse_own_services(call: Call) -> Any:
    """Refuse to send mails and messages through services of one's own."""
    roles.owned(call.caller, call.path["profile_id"])
    raise errors.BadRequest("Decant sends no mails and messages for a profile, so it needs no server or account for it")


_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route(
        "GET", "/profile", list_profiles, who=_WHO, grant="account/access_profile",
        note="SDK. All profiles at once, the oldest first; those of other accounts last, with `from_share`",
    ),
    Route(
        "POST", "/profile", create, rate="POST /profile", need="full", body=schema.create,
        note="SDK. Also with a slash at the end. A new profile has no token: `POST /account/profile/token` makes one, "
        "or `PUT /profile/switch/{id}` moves one there",
    ),
    Route(
        "GET", "/profile/{profile_id}", info, who=_WHO, grant="account/access_profile",
        note="SDK. `current` is the caller's profile. A full token reaches all profiles of its account, any other only "
        "its own",
    ),
    Route(
        "PUT", "/profile/{profile_id}", edit, rate="PUT /profile", need="write", body=schema.edit,
        note="SDK. Only for the owner. `rpm` limits POST and GET of data. `usage_webhook` is ours: a "
        "URL that gets a POST when 80, 90 or 100 % of a quota is used",
    ),
    Route(
        "DELETE", "/profile/{profile_id}", delete, rate="DELETE /profile", need="full", body=schema.delete,
        note="SDK. Only for the owner, with the password in the body. The only profile of an account stays. Gone at "
        "once, also if its own token asks; on AWS its tokens work for up to 60 s elsewhere. What it owned is removed "
        "within hours",
    ),
    Route(
        "GET", "/profile/{profile_id}/summary", summary, who=_WHO, grant="account/access_profile",
        note="SDK. `amount` is live. On AWS `limit_used` is up to a minute late. `alerts` is ours",
    ),
    Route(
        "GET", "/profile/{profile_id}/statistics", list_usage, who=_WHO, grant="account/access_profile_statistics",
        note="SDK. `input`, `output` and `data_records`, kept for 14 months",
    ),
    Route(
        "PUT", "/profile/switch/{profile_id}", switch, need="full",
        note="SDK. Only to a profile of the same account, or one that is shared with it",
    ),
    Route(
        "GET", "/account/allocation", list_allocation, rate="GET /account",
        note="SDK. Each profile has the quotas of its plan. A service that does not exist has no limit",
    ),
    Route(
        "POST", "/account/allocation", allocate, rate="POST /account", need="full", body=schema.allocate,
        note="partly: SDK. Accepts only what a profile has already, and refuses the rest with 400: the plan decides",
    ),
    Route("GET", "/profile/{profile_id}/addons", addons, note="SDK. Always empty"),
    Route("POST", "/profile/{profile_id}/addons", refuse_addons, need="full", note="SDK. Always 400: there are none"),
    Route(
        "DELETE", "/profile/{profile_id}/{addon}", refuse_addons, need="full", note="SDK. Always 400: there are none",
    ),
    Route(
        "POST", "/profile/{profile_id}/services", refuse_services, need="full",
        note="SDK. Always 400: the plan decides",
    ),
    Route(
        "PUT", "/profile/{profile_id}/service", refuse_own_services, need="full",
        note="Always 400: Decant sends no mails and messages for a profile",
    ),
    Route(
        "POST", "/profile/{profile_id}/service/test/{type}", refuse_own_services, need="full",
        note="Always 400: as `PUT /profile/{id}/service`",
    ),
)  # fmt: skip
