"""Service authorizations: tokens with which a network acts for a profile. They look like ``at`` and 32 hex digits."""

from typing import Any

from chalicelib import errors
from chalicelib.schemas.tokens import ServiceEditIn, ServiceIn, TokenIn
from chalicelib.services import entities
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.usage import resources
from chalicelib.store import Doc, names


def create(*, sent: ServiceIn, giver: Caller) -> dict[str, Any]:
    """Create a service authorization of the giver's profile; return its token, name and more.

    Raises:
        errors.BadRequest: the permission is more than the giver's, or the expiry is not a time.
        errors.PaymentRequired: the plan allows no more.

    Cost: as ``tokens.create``, and that of ``resources.check``.
    """
    own = sum(doc["type"] == "service" for doc in tokens.list_all(owner=names.profile(giver.profile)))
    resources.check(profile=giver.profile, resource="service_authorization", existing=own)
    first: TokenIn = {"name": sent["name"], "permission": sent.get("permission", giver.permission)}
    if "expire_time" in sent:
        first["expire_time"] = sent["expire_time"]
    parameters, code = sent.get("additional_parameters"), sent.get("verification_code")
    more = {"verification_code": code, "additional_parameters": parameters}
    shown = tokens.create(kind="service", profile=giver.profile, sent=first, giver=giver, more=more)
    return shown | {"name": sent["name"], "profile": giver.profile, **more}


def edit(*, profile: str, text: str, sent: ServiceEditIn) -> None:
    """Change the verification code of a service authorization.

    Raises:
        errors.NotFound: the profile has no such service authorization.
        errors.Conflict: others kept changing it.

    Cost: two reads and one conditional write.
    """
    listed = tokens.find_or_raise(profile=profile, text=text, kind="service")

    def revised(doc: Doc | None) -> Doc:
        if doc is None:
            raise errors.NotFound("Token not found")
        return {**doc, "verification_code": sent.get("verification_code")}

    conflict = "The token is being changed by others, try again"
    entities.update(owner=listed.owner, name=listed.name, revise=revised, conflict=conflict, entity=listed)
