"""Creates, reads, changes, converts, deletes and lists the devices of a profile."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys, times
from chalicelib.host import clock
from chalicelib.schemas import devices as schema
from chalicelib.schemas.devices import ConvertIn, DeviceEditIn, DeviceIn, Resolve
from chalicelib.schemas.lists import ListQuery
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import entities
from chalicelib.services.access import client_ids, reach, tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.access.reach import DEVICE
from chalicelib.services.devices import erasures, inheritance, integrations, params, retention, serials
from chalicelib.services.entities import Row
from chalicelib.services.points import expiry
from chalicelib.services.usage import resources
from chalicelib.store import Doc, Entity, names

PROTECTION_TAG = "_delete_protection_"
_LAST_USE = {"last_input", "last_output"}
"""Fields that come from the counters."""


def create(*, profile: str, sent: DeviceIn, giver: Caller | None = None, token: str | None = None) -> dict[str, Any]:
    """Create a device with one token named Default.

    Args:
        profile: the owner.
        sent: as the schema read it. Without network and connector, the device becomes a Custom HTTPS device.
        giver: who asks. The new token has the same permission. None: an operator, who gives full.
        token: the text of the token. None: it is derived.

    Returns:
        ``device_id``, ``bucket_id`` (the same) and ``token``.

    Raises:
        errors.BadRequest: a chunk setting is missing or out of range, a connector lacks its network, or a parameter
            breaks a rule; nothing was stored.
        errors.PaymentRequired: the plan allows no more devices.

    Cost: that of ``resources.check``, and one transaction of three entities, or four with a serial number, and one a
        parameter.
    """
    now_ms = clock.now_ms()
    kind = sent.get("type") or "mutable"
    period, count = sent.get("chunk_period"), sent.get("chunk_retention")
    if kind == "immutable":
        schema.check_retention(period, count)
    asked = sent.get("connector"), sent.get("network")
    connector, network = inheritance.pair(profile=profile, connector=asked[0], network=asked[1])
    serial = serials.of_new_device(profile=profile, network=network, serial=sent.get("serie_number"))
    device_id = keys.new_id()
    wanted = inheritance.parameters(
        profile=profile, connector=connector, network=network, sent=sent.get("configuration_params", [])
    )
    own_params = params.revised(device=device_id, known={}, sent=wanted)
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
        "rpm": sent.get("rpm"),
        "chunk_period": period if kind == "immutable" else None,
        "chunk_retention": count if kind == "immutable" else None,
        "created_ms": now_ms,
        "updated_ms": now_ms,
    }
    permission, account = (giver.permission, giver.account) if giver else ("full", "")
    first: TokenIn = {"name": "Default", "permission": permission, "serie_number": serial}
    resources.check(profile=profile, resource="device")
    created = tokens.new(kind="device", profile=profile, subject=device_id, sent=first, chosen=token, account=account)
    stored = Entity(names.profile(profile), DEVICE.prefix + device_id, doc)
    tokens.store_all([stored, *created.entities, *own_params])
    return {"device_id": device_id, "bucket_id": device_id, "token": created.shown["token"]}


def info(*, profile: str, device: str) -> dict[str, Any]:
    """Return a device with all its fields.

    Raises:
        errors.NotFound: the profile has no such device.
    """
    return show(reach.device_or_raise(profile=profile, device=device, is_fresh=True))


def show(doc: Doc) -> Row:
    """Return a device as clients see it. Cost: one read, for its counters."""
    return _with_last_use(_shape(doc))


def _shape(doc: Doc) -> Row:
    """Return a device as clients see it, with None as ``last_input`` and ``last_output``."""
    period, count = doc["chunk_period"], doc["chunk_retention"]
    shown = {name: value for name, value in doc.items() if not name.endswith("_ms")}
    return shown | {
        "bucket": {"id": doc["id"], "name": doc["name"]},
        "mutable_variable_regex": None,
        "data_retention": "forever" if period is None else f"{count} {period}",
        "rpm": doc.get("rpm"),
        "created_at": times.to_iso(doc["created_ms"]),
        "updated_at": times.to_iso(doc["updated_ms"]),
        "last_input": None,
        "last_output": None,
        "inspected_at": None,
    }


def _with_last_use(row: Row) -> Row:
    usage = store.current().usage(row["profile"], row["id"])
    last = {"last_input": usage.last_input_ms, "last_output": usage.last_output_ms}
    return row | {name: None if last_ms is None else times.to_iso(last_ms) for name, last_ms in last.items()}


def list_page(
    *,
    profile: str,
    query: ListQuery,
    resolve: Resolve,
    serial: str | None,
    may_see: Callable[[Doc], bool] | None = None,
) -> list[Row]:
    """Return a page of the profile's devices.

    Args:
        profile: the owner.
        query: page, fields, order and filters.
        resolve: which names to add: ``bucket_name``, ``connector_name``, ``network_name``.
        serial: if given, only devices with a token of this serial number, as sent or by the rule of their network.
        may_see: which of them the caller may see. None: all.

    Cost: it reads every device of the profile. With a serial number also each network of theirs that was not read
        within a minute, and one query for each spelling of the number. If the page shows ``last_input`` or
        ``last_output``, it reads the counters of the page's devices; if one of them filters or sorts, those of all
        devices.
    """
    docs = entities.list_all(DEVICE, owner=names.profile(profile), may_see=may_see)
    if serial is not None:
        docs = _with_serial(profile, docs, serial)
    rows = [_shape(doc) for doc in docs]
    needs_last_use = not _LAST_USE.isdisjoint(query.fields)
    if not _LAST_USE.isdisjoint({query.order, *query.filters}):
        rows = [_with_last_use(row) for row in rows]
        needs_last_use = False
    names_wanted = [f"{name}_name" for name, is_wanted in resolve._asdict().items() if is_wanted]

    def complete(row: Row) -> Row:
        row = _with_last_use(row) if needs_last_use else row
        for name in names_wanted:
            row[name] = row["name"] if name == "bucket_name" else _name_of(profile, row, name.removesuffix("_name"))
        return row

    return entities.page(rows, replace(query, fields=[*query.fields, *names_wanted]), complete)


def _with_serial(profile: str, docs: list[Doc], serial: str) -> list[Doc]:
    """Return those of some devices that have a serial number."""
    texts = {
        network: serials.spellings(integrations.network(profile, network), serial)
        for network in {doc["network"] for doc in docs}
    }
    ids = {
        text: tokens.devices_with_serial(profile=profile, serial=text)
        for text in {text for spellings in texts.values() for text in spellings}
    }
    return [doc for doc in docs if any(doc["id"] in ids[text] for text in texts[doc["network"]])]


def _name_of(profile: str, row: Row, kind: str) -> str | None:
    find = integrations.connector if kind == "connector" else integrations.network
    found = find(profile, row[kind])
    return found["name"] if found else None


def edit(*, profile: str, device: str, sent: DeviceEditIn) -> None:
    """Change a device. Fields that are not sent keep their value.

    Raises:
        errors.NotFound: the profile has no such device.
        errors.BadRequest: a field breaks a rule, or network and connector would change while the device has tokens.
        errors.Conflict: others kept changing it.
    """

    def revised(doc: Doc) -> Doc:
        _check_edit(doc, sent)
        retention.announce(doc, sent)
        return {**sent, "updated_ms": clock.now_ms()}

    entities.change(DEVICE, owner=names.profile(profile), doc_id=device, revise=revised)
    if sent.get("active") is False:
        client_ids.end_sessions(device=device)


def _check_edit(doc: Doc, sent: DeviceEditIn) -> None:
    if "chunk_retention" in sent:
        if doc["type"] != "immutable":
            raise errors.BadRequest.field("chunk_retention", "chunk_retention is only for immutable devices")
        schema.check_retention(doc["chunk_period"], sent["chunk_retention"])
    if "network" in sent or "connector" in sent:
        if "network" not in sent or "connector" not in sent:
            raise errors.BadRequest.field("connector", "connector and network must be given together")
        connector, network = sent["connector"], sent["network"]
        if (connector, network) != (doc["connector"], doc["network"]):
            inheritance.pair(profile=doc["profile"], connector=connector, network=network)
            if tokens.list_all(owner=names.device(doc["id"])):
                reason = "Delete the tokens of the device before its connector and network are changed"
                raise errors.BadRequest.field("connector", reason)


def convert(*, profile: str, device: str, sent: ConvertIn) -> None:
    """Change the storage type of a device, or the period of its chunks. Its tokens stay.

    Raises:
        errors.NotFound: the profile has no such device.
        errors.BadRequest: the device is active or holds points, or a chunk setting is missing or out of range.
        errors.Conflict: others kept changing it.
        errors.Unavailable: expired points could not be removed in time; a retry resumes.
    """
    is_immutable = sent["type"] == "immutable"
    period, count = (sent.get("chunk_period"), sent.get("chunk_retention")) if is_immutable else (None, None)
    if is_immutable:
        schema.check_retention(period, count)

    def revised(doc: Doc) -> Doc:
        if doc["active"]:
            raise errors.BadRequest("The device must be inactive to be converted")
        if expiry.amount(doc):
            raise errors.BadRequest("The device must be empty to be converted")
        expiry.drop(doc)  # else it would be there again by the new settings
        changes = {"type": sent["type"], "chunk_period": period, "chunk_retention": count}
        retention.announce(doc, changes)
        return {**changes, "updated_ms": clock.now_ms()}

    entities.change(DEVICE, owner=names.profile(profile), doc_id=device, revise=revised)


def delete(*, profile: str, device: str) -> None:
    """Delete a device and all its data. The device is gone at once. Data that cannot be removed in time goes later.

    Raises:
        errors.NotFound: the profile has no such device.
        errors.BadRequest: the device's tag ``_delete_protection_`` forbids it. The message is the tag's value.
    """
    doc = reach.device_or_raise(profile=profile, device=device, is_fresh=True)
    for tag in doc["tags"]:
        if tag["key"] == PROTECTION_TAG:
            raise errors.BadRequest(tag["value"] or "The device is protected from deletion")
    erasures.begin(device=doc)


def data_amount(*, profile: str, device: str) -> int:
    """Return how many points a device holds. Cost: see ``expiry.amount``.

    Raises:
        errors.NotFound: the profile has no such device.
    """
    return expiry.amount(reach.device_or_raise(profile=profile, device=device))
