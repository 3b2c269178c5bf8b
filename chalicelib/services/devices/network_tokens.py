"""Tokens of networks. With one, a network finds and creates devices, and sends their data."""

from typing import Any

from chalicelib.schemas.lists import ListQuery
from chalicelib.schemas.tokens import NetworkTokenIn, TokenIn
from chalicelib.services import entities
from chalicelib.services.access import reach, tokens
from chalicelib.services.access.callers import Caller, Reader
from chalicelib.store import names

CREATE_DEVICE = "create_device"
"""The field of a listed token that says whether the network may create devices with it."""


def create(*, sent: NetworkTokenIn, giver: Caller) -> dict[str, Any]:
    """Create a token of a network of the giver's profile; return it with its name, network and privileges.

    Raises:
        errors.NotFound: the profile has no such network. Those of the catalogue are nobody's.
        errors.BadRequest: the permission is more than the giver's, or the expiry is not a time.

    Cost: as ``tokens.create``, and one read.
    """
    network = sent["network"]
    _check(profile=giver.profile, network=network)
    first: TokenIn = {"name": sent["name"], "permission": sent.get("permission", giver.permission)}
    if "expire_time" in sent:
        first["expire_time"] = sent["expire_time"]
    privileges = sent.get("privileges") or sent.get("previlegies") or {}
    may_create = privileges.get("createDevice", False)
    more = {CREATE_DEVICE: may_create}
    shown = tokens.create(kind="network", profile=giver.profile, subject=network, sent=first, giver=giver, more=more)
    return shown | {"name": sent["name"], "network": network, "privileges": {"createDevice": may_create}}


def list_page(*, profile: str, network: str, query: ListQuery, reader: Reader) -> list[dict[str, Any]]:
    """Return a page of the tokens of a network; see ``tokens.list_page``.

    Raises:
        errors.NotFound: the profile has no such network.
    """
    _check(profile=profile, network=network)
    return tokens.list_page(owner=names.network(network), kind="network", query=query, reader=reader)


def _check(*, profile: str, network: str) -> None:
    entities.get_or_raise(reach.NETWORK, owner=names.profile(profile), doc_id=network)
