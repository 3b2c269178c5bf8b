"""Devices of a profile."""

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys, times
from chalicelib.host import clock
from chalicelib.host.cache import Cache
from chalicelib.schemas import devices as schema
from chalicelib.schemas.devices import ConvertIn, DeviceEditIn, DeviceIn, ListQuery
from chalicelib.schemas.queries import bad
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import lists
from chalicelib.services.access import client_ids, tokens
from chalicelib.services.devices import erasures, networks, params
from chalicelib.settings import CACHE_S
from chalicelib.store import ABSENT, Doc, Entity

FIELDS = (
    "id", "name", "description", "active", "visible", "type", "tags", "connector", "network", "profile", "bucket",
    "payload_decoder", "chunk_period", "chunk_retention", "mutable_variable_regex", "last_input", "last_output",
    "inspected_at", "created_at", "updated_at", "rpm", "data_retention",
)  # fmt: skip
DEFAULT_FIELDS = ("id", "name", "tags", "connector", "network")
PROTECTION_TAG = "_delete_protection_"
_ATTEMPTS = 10
_docs: Cache[Doc] = Cache(ttl_s=CACHE_S)


def create(*, profile: str, sent: DeviceIn, token: str | None = None) -> dict[str, Any]:
    """Make a device with one token named Default.

    Args:
        profile: whose it is.
        sent: as the schema read it; without network and connector it becomes a Custom HTTPS device.
        token: the text that the token shall have, instead of a derived one.

    Returns:
        ``device_id``, ``bucket_id`` (the same) and ``token``.

    Raises:
        errors.BadRequest: chunk settings missing or out of range, or a connector without its network.
    """
    now_ms = clock.now_ms()
    kind = sent.get("type") or "mutable"
    period, retention = sent.get("chunk_period"), sent.get("chunk_retention")
    if kind == "immutable":
        schema.check_retention(period, retention)
    connector, network = networks.pair(sent.get("connector"), sent.get("network"))
    device_id = keys.new_id()
    doc: Doc = {
        "id": device_id,
        "profile": profile,
        "name": sent["name"],
        "description": sent.get("description"),
        "active": sent.get("active", True),
        "visible": sent.get("visible", True),
        "type": kind,
        "tags": sent.get("tags", []),
        "connector": connector,
        "network": network,
        "payload_decoder": sent.get("payload_decoder"),
        "chunk_period": period if kind == "immutable" else None,
        "chunk_retention": retention if kind == "immutable" else None,
        "created_ms": now_ms,
        "updated_ms": now_ms,
    }
    store.current().put(Entity(f"profile#{profile}", f"device#{device_id}", doc), expected=ABSENT)
    first: TokenIn = {"name": "Default", "permission": "full", "serie_number": sent.get("serie_number")}
    made = tokens.create(kind="device", profile=profile, device=device_id, sent=first, chosen=token)
    if sent.get("configuration_params"):
        params.merge(device=device_id, sent=sent["configuration_params"])
    return {"device_id": device_id, "bucket_id": device_id, "token": made["token"]}


def get_or_raise(*, profile: str, device: str, is_fresh: bool = False) -> Doc:
    """Return a device of the profile. Cost: none within 60 s of the last time, else half a read; one if ``is_fresh``.

    Raises:
        errors.NotFound: no such device, or another profile's.
    """
    key = f"{profile}#{device}"
    doc = None if is_fresh else _docs.get(key)
    if doc is None:
        doc = _entity_or_raise(profile, device, is_fresh=is_fresh).doc
        _docs.put(key, doc)
    return doc


def _entity_or_raise(profile: str, device: str, *, is_fresh: bool = True) -> Entity:
    read = store.current().get if is_fresh else store.current().peek
    entity = read(f"profile#{profile}", f"device#{device}") if keys.is_id(device) else None
    if entity is None:
        raise errors.NotFound("Device not found")
    return entity


def info(*, profile: str, device: str) -> dict[str, Any]:
    """Return everything about a device.

    Raises:
        errors.NotFound: no such device, or another profile's.
    """
    return show(get_or_raise(profile=profile, device=device, is_fresh=True))


def show(doc: Doc) -> dict[str, Any]:
    """Return a device as clients see it."""
    last_ms = store.current().counters(doc["profile"], doc["id"]).last_input_ms
    return _shape(doc, last_ms)


def _shape(doc: Doc, last_input_ms: int | None) -> dict[str, Any]:
    period, retention = doc["chunk_period"], doc["chunk_retention"]
    shown = {name: value for name, value in doc.items() if not name.endswith("_ms")}
    return shown | {
        "bucket": {"id": doc["id"], "name": doc["name"]},
        "mutable_variable_regex": None,
        "data_retention": "forever" if period is None else f"{retention} {period}",
        "rpm": None,
        "created_at": times.to_iso(doc["created_ms"]),
        "updated_at": times.to_iso(doc["updated_ms"]),
        "last_input": None if last_input_ms is None else times.to_iso(last_input_ms),
        "last_output": None,
        "inspected_at": None,
    }


def list_page(*, profile: str, query: ListQuery, names: Mapping[str, bool], serial: str | None) -> list[dict[str, Any]]:
    """Return a page of the profile's devices.

    Args:
        profile: whose.
        query: page, fields, order and filters.
        names: which of ``bucket_name``, ``connector_name`` and ``network_name`` to add.
        serial: only devices with a token of this serial number.

    Cost: reads every device of the profile; the counters only of those shown, unless filtered or sorted by last_input.
    """
    docs = [entity.doc for entity in store.current().list(f"profile#{profile}", "device#")]
    if serial is not None:
        ids = tokens.devices_with_serial(profile=profile, serial=serial)
        docs = [doc for doc in docs if doc["id"] in ids]
    needs_input = query.order == "last_input" or "last_input" in query.filters
    rows = [show(doc) if needs_input else _shape(doc, None) for doc in docs]
    rows = [row for row in rows if _matches(row, query)]
    page = lists.page(rows, query)
    by_id = {doc["id"]: doc for doc in docs}
    if "last_input" in query.fields and not needs_input:
        page = [show(by_id[row["id"]]) for row in page]
    return [_project(row, query.fields, names) for row in page]


def _project(row: dict[str, Any], fields: list[str], names: Mapping[str, bool]) -> dict[str, Any]:
    shown = {name: row[name] for name in dict.fromkeys(("id", "name", "tags", *fields))}
    if names.get("bucket_name"):
        shown["bucket_name"] = row["name"]
    for kind in ("connector", "network"):
        if names.get(f"{kind}_name"):
            shown[f"{kind}_name"] = networks.NAMES.get(row[kind])
    return shown


def _matches(row: dict[str, Any], query: ListQuery) -> bool:
    for name, wanted in query.filters.items():
        value = row["id"] if name == "bucket" else row[name]
        if isinstance(wanted, int) and not isinstance(wanted, bool):
            if value is None or times.parse_time(value) < wanted:
                return False
        elif isinstance(wanted, str):
            if not lists.is_like(str(value), wanted):
                return False
        elif wanted is not None and value != wanted:
            return False
    return lists.has_tags(row["tags"], query.tags)


def edit(*, profile: str, device: str, sent: DeviceEditIn) -> None:
    """Change a device; fields that are not sent stay.

    Raises:
        errors.NotFound: no such device, or another profile's.
        errors.BadRequest: a rule of a field, or network and connector while the device has tokens.
        errors.Conflict: others kept changing it.
    """
    _change(profile, device, lambda doc: _edited(doc, sent))
    if sent.get("active") is False:
        client_ids.end_sessions(device=device)


def convert(*, profile: str, device: str, sent: ConvertIn) -> None:
    """Change the storage type of a device, or the period of its chunks. Its tokens stay.

    Raises:
        errors.NotFound: no such device, or another profile's.
        errors.BadRequest: it is active or holds points, or chunk settings are missing or out of range.
        errors.Conflict: others kept changing it.
    """
    is_immutable = sent["type"] == "immutable"
    period, retention = (sent.get("chunk_period"), sent.get("chunk_retention")) if is_immutable else (None, None)
    if is_immutable:
        schema.check_retention(period, retention)

    def converted(doc: Doc) -> dict[str, Any]:
        if doc["active"]:
            raise errors.BadRequest("The device must be inactive to be converted")
        if store.current().counters(profile, device).records:
            raise errors.BadRequest("The device must be empty to be converted")
        return {"type": sent["type"], "chunk_period": period, "chunk_retention": retention}

    _change(profile, device, converted)


def _change(profile: str, device: str, changes: Callable[[Doc], dict[str, Any]]) -> None:
    here = store.current()
    for _ in range(_ATTEMPTS):
        entity = _entity_or_raise(profile, device)
        doc = {**entity.doc, **changes(entity.doc), "updated_ms": clock.now_ms()}
        changed = entity._replace(doc=doc, version=entity.version + 1)
        if here.put(changed, expected=entity.version) is None:
            _docs.drop(f"{profile}#{device}")
            return
    raise errors.Conflict("The device is being changed by others, try again")


def _edited(doc: Doc, sent: DeviceEditIn) -> dict[str, Any]:
    changes: dict[str, Any] = dict(sent)
    if "chunk_retention" in sent:
        if doc["type"] != "immutable":
            raise bad("chunk_retention", "chunk_retention is only for immutable devices")
        schema.check_retention(doc["chunk_period"], sent["chunk_retention"])
    if "network" in sent or "connector" in sent:
        if "network" not in sent or "connector" not in sent:
            raise bad("connector", "connector and network must be given together")
        networks.pair(sent["connector"], sent["network"])
        is_other = (sent["connector"], sent["network"]) != (doc["connector"], doc["network"])
        if is_other and tokens.list_all(owner=f"device#{doc['id']}"):
            raise bad("connector", "Delete the tokens of the device before its connector and network are changed")
    return changes


def delete(*, profile: str, device: str) -> None:
    """Delete a device and all it has. It is gone at once; what cannot be removed in time is removed later.

    Raises:
        errors.NotFound: no such device, or another profile's.
        errors.BadRequest: its tag ``_delete_protection_`` forbids it; the message is the tag's value.
    """
    doc = _entity_or_raise(profile, device).doc
    for tag in doc["tags"]:
        if tag["key"] == PROTECTION_TAG:
            raise errors.BadRequest(tag["value"] or "The device is protected from deletion")
    _docs.drop(f"{profile}#{device}")
    erasures.begin(device=doc)


def data_amount(*, profile: str, device: str) -> int:
    """Return how many points a device holds.

    Raises:
        errors.NotFound: no such device, or another profile's.
    """
    get_or_raise(profile=profile, device=device)
    return store.current().counters(profile, device).records
