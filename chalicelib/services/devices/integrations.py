"""Connectors and networks: creates, reads, changes, deletes and lists those of a profile, and finds them for devices.

Every profile also has those of the catalogue, which nobody can change.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from chalicelib import errors
from chalicelib.codec import jsontext, keys, times
from chalicelib.host import clock
from chalicelib.host.cache import Cache
from chalicelib.schemas.lists import ListQuery
from chalicelib.services import entities
from chalicelib.services.access import reach, tokens
from chalicelib.services.devices import catalogue
from chalicelib.services.entities import Kind
from chalicelib.services.usage import resources
from chalicelib.settings import CACHE_S
from chalicelib.store import Doc, names

MAX_BYTES = 200_000
"""How large a document may be. A DynamoDB item holds 400 kB, and a process keeps some in memory."""


class Integration(NamedTuple):
    """What connectors and networks differ in."""

    kind: Kind
    resource: str
    """The name in the price plans."""
    built_in: Mapping[str, Doc]
    """The catalogue: documents by id."""
    unset: Doc
    """The fields of a document of which the client sent nothing."""
    unknown: Cache[bool]
    """The ids that a profile does not have, so that a device that names one costs no read."""


_SHARED: Doc = {
    "description": None, "logo_url": None, "device_parameters": [], "payload_decoder": None, "payload_encoder": None,
    "public": False,
}  # fmt: skip
CONNECTOR = Integration(
    reach.CONNECTOR,
    "connectors",
    catalogue.CONNECTORS,
    {**_SHARED, "networks": [], "install_text": None, "install_end_text": None, "device_annotation": None},
    Cache(ttl_s=CACHE_S),
)
NETWORK = Integration(
    reach.NETWORK,
    "networks",
    catalogue.NETWORKS,
    {
        **_SHARED, "icon_url": None, "banner_url": None, "middleware_endpoint": None, "documentation_url": None,
        "serial_number": None, "require_devices_access": False,
    },
    Cache(ttl_s=CACHE_S),
)  # fmt: skip


def connector(profile: str, connector: str) -> Doc | None:
    """Return a connector of the profile or of the catalogue. It may be a minute old.

    Args:
        profile: the owner.
        connector: an id, as a client sent it.

    Returns:
        None if it is unknown here, or another profile's.

    Cost: none for the catalogue, nor within a minute of the last read. Else half a read; a read and a half if unknown.
    """
    return _find(CONNECTOR, profile, connector)


def network(profile: str, network: str) -> Doc | None:
    """Return a network of the profile or of the catalogue; see ``connector``."""
    return _find(NETWORK, profile, network)


def _find(integration: Integration, profile: str, doc_id: str) -> Doc | None:
    built_in = integration.built_in.get(doc_id)
    if built_in is not None:
        return built_in
    key = f"{profile}/{doc_id}"
    if integration.unknown.get(key):
        return None
    try:
        return get_or_raise(integration, profile=profile, doc_id=doc_id, is_fresh=False)
    except errors.NotFound:
        if keys.is_id(doc_id):
            integration.unknown.put(key, True)
        return None


def get_or_raise(integration: Integration, *, profile: str, doc_id: str, is_fresh: bool) -> Doc:
    """Return a connector or network of the profile or of the catalogue, as stored.

    Raises:
        errors.NotFound: there is none with this id.

    Cost: none for the catalogue. Else one read if fresh; if not, none within a minute of the last one, or half a read.
    """
    built_in = integration.built_in.get(doc_id)
    if built_in is not None:
        return built_in
    return entities.get_or_raise(integration.kind, owner=names.profile(profile), doc_id=doc_id, is_fresh=is_fresh)


def create(integration: Integration, *, profile: str, sent: Mapping[str, Any]) -> str:
    """Create a connector or network; return its id.

    Raises:
        errors.BadRequest: it is too large.
        errors.PaymentRequired: the plan allows no more.

    Cost: that of ``resources.check``, and one conditional write.
    """
    resources.check(profile=profile, resource=integration.resource)
    now_ms, doc_id = clock.now_ms(), keys.new_id()
    own = {"id": doc_id, "profile": profile, "created_ms": now_ms, "updated_ms": now_ms}
    doc: Doc = {**integration.unset, **sent, **own}
    _check_size(integration, doc)
    entities.create(integration.kind, owner=names.profile(profile), doc=doc)
    return doc_id


def list_page(
    integration: Integration,
    *,
    profile: str,
    query: ListQuery,
    is_own_only: bool,
    may_see: Callable[[Doc], bool] | None,
) -> list[dict[str, Any]]:
    """Return a page of the connectors or networks that the caller may see.

    Args:
        integration: connectors or networks.
        profile: the owner.
        query: page, fields, order and filters.
        is_own_only: whether the catalogue is left out.
        may_see: which of them the caller may see. None: all.

    Cost: it reads all of the profile's.
    """
    docs = entities.list_all(integration.kind, owner=names.profile(profile), may_see=may_see)
    if not is_own_only:
        docs += [doc for doc in integration.built_in.values() if may_see is None or may_see(doc)]
    return entities.page([_show(integration, doc) for doc in docs], query)


def info(integration: Integration, *, profile: str, doc_id: str) -> dict[str, Any]:
    """Return a connector or network as clients see it, with all its fields.

    Raises:
        errors.NotFound: there is none with this id.
    """
    return _show(integration, get_or_raise(integration, profile=profile, doc_id=doc_id, is_fresh=True))


def edit(integration: Integration, *, profile: str, doc_id: str, sent: Mapping[str, Any]) -> None:
    """Change a connector or network. Fields that are not sent keep their value. Devices follow within a minute.

    Raises:
        errors.Denied: it is of the catalogue.
        errors.NotFound: the profile has none with this id.
        errors.BadRequest: it would become too large.
        errors.Conflict: others kept changing it.
    """
    _refuse_built_in(integration, doc_id)

    def revised(doc: Doc) -> Mapping[str, Any]:
        changes = {**sent, "updated_ms": clock.now_ms()}
        _check_size(integration, {**doc, **changes})
        return changes

    entities.change(integration.kind, owner=names.profile(profile), doc_id=doc_id, revise=revised)


def delete(integration: Integration, *, profile: str, doc_id: str) -> None:
    """Delete a connector or network: first its tokens, if it has some. Devices keep its id, which is unknown then.

    Raises:
        errors.Denied: it is of the catalogue.
        errors.NotFound: the profile has none with this id.
    """
    _refuse_built_in(integration, doc_id)
    get_or_raise(integration, profile=profile, doc_id=doc_id, is_fresh=True)
    if integration is NETWORK:
        tokens.delete_all(owner=names.network(doc_id))
    entities.delete(integration.kind, owner=names.profile(profile), doc_id=doc_id)


def _check_size(integration: Integration, doc: Doc) -> None:
    size = len(jsontext.dumps(doc).encode())
    if size > MAX_BYTES:
        noun = integration.kind.noun.lower()
        raise errors.BadRequest(f"A {noun} may have at most {MAX_BYTES} bytes of JSON, not {size}")


def _refuse_built_in(integration: Integration, doc_id: str) -> None:
    if doc_id in integration.built_in:
        raise errors.Denied


def _show(integration: Integration, doc: Doc) -> dict[str, Any]:
    shown = {name: value for name, value in doc.items() if not name.endswith("_ms")}
    return (
        {"profile": None}
        | integration.unset
        | shown
        | {
            "created_at": times.to_iso(doc["created_ms"]),
            "updated_at": times.to_iso(doc["updated_ms"]),
        }
    )
