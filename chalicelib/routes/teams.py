"""/profile/{id}/team: who shares a profile."""

from typing import Any

from chalicelib.http import pages, requests
from chalicelib.http.answers import Page
from chalicelib.http.route import Call, Route
from chalicelib.schemas import profiles as schema
from chalicelib.services.accounts import invitations, roles, teams

_TITLE = "Join a team"


def list_team(call: Call) -> Any:
    """List the members of a profile's team."""
    return teams.list_of(roles.owned(call.caller, call.path["profile_id"]).id)


def invite(call: Call) -> Any:
    """Invite an account to a profile's team."""
    profile = roles.owned(call.caller, call.path["profile_id"]).profile
    teams.invite(profile=profile, email=call.body["email"], base_url=requests.base_url(call.request))
    return "User invited"


def remove(call: Call) -> Any:
    """Remove a member from a profile's team."""
    teams.remove(found=roles.reached(call.caller, call.path["profile_id"]), member=call.path["account_id"])
    return "Account Successfully Removed"


def accept(call: Call) -> Any:
    """Accept an invitation."""
    return invitations.accept(call.path["token"], address=requests.address(call.request))


def decline(call: Call) -> Any:
    """Decline an invitation."""
    return invitations.decline(call.path["token"])


@pages.refusing(_TITLE)
def invitation_page(call: Call) -> Page:
    """Show a page whose button accepts an invitation."""
    doc = invitations.get_or_raise(call.path["token"]).doc
    text = f"Your account {doc['email']} becomes a member of the profile {invitations.name_of(doc)}."
    return pages.form(_TITLE, text, "Accept")


@pages.refusing(_TITLE)
def accept_by_page(call: Call) -> Page:
    """Accept an invitation, by the button of the page."""
    return pages.message("Accepted", accept(call))


ROUTES = (
    Route(
        "GET", "/profile/{profile_id}/team", list_team,
        note="SDK. Only for the owner. Invitations that wait have `active` false and an id of their own",
    ),
    Route(
        "POST", "/profile/{profile_id}/team", invite, need="full", body=schema.invite,
        note="SDK. Only for the owner. The answer does not tell whether the address has an account. An invitation "
        "lasts seven days; `GET /account` lists it for its account",
    ),
    Route(
        "DELETE", "/profile/{profile_id}/team/{account_id}", remove, need="full",
        note="SDK. For the owner, and for a member itself. Ends all tokens that the member made, and those made with "
        "them. Also withdraws an invitation, by its id in the list",
    ),
    Route(
        "GET", "/profile/team/accept/{token}", accept, who=(), need="write",
        note="SDK. Makes the invited account a member, also if another account asks. Works once",
    ),
    Route("GET", "/profile/team/decline/{token}", decline, who=(), need="write", note="SDK"),
    Route("GET", "/page/invitation/{token}", invitation_page, who=(), note="Not TagoIO's: the page of a mailed link"),
    Route("POST", "/page/invitation/{token}", accept_by_page, who=(), note="Not TagoIO's: the button of that page"),
)  # fmt: skip
