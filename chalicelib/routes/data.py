"""/data for device tokens and /device/{id}/data for other callers: store, read, change and remove points."""

from collections.abc import Callable
from functools import partial
from typing import Any

from chalicelib import errors, settings
from chalicelib.host import clock
from chalicelib.http import requests
from chalicelib.http.answers import Csv, Json
from chalicelib.http.route import ANALYSIS, DEVICE, NETWORK, PROFILE, RUN_USER, Call, Route
from chalicelib.schemas import ignored
from chalicelib.schemas import points as schema
from chalicelib.schemas.parameters import one
from chalicelib.schemas.queries import SCALARS, read_deletion, read_query
from chalicelib.services.devices import network_devices, parsers
from chalicelib.services.devices.parsers import Chain, Parsed, Serial
from chalicelib.services.points import read, rewrite, send, tables
from chalicelib.services.points.read import AsList
from chalicelib.services.usage import quotas

_Stored = tuple[send.Prepared, Parsed]


def store(call: Call) -> Any:
    """Store points."""
    device = call.device
    if call.caller.kind == PROFILE and not settings.current().profile_may_send:
        raise errors.Denied
    chain = parsers.chain_of(device)
    if chain is not None:
        return _store_parsed(call, chain, *_sent(call), clock.now_ms())
    raw, is_form = requests.body(call.request), requests.is_form(call.request)
    now = send.Now(clock.now_ms(), clock.arrival_us())
    key = _key(call)

    def prepare() -> _Stored:
        sent = schema.read_points(raw, is_form=is_form)
        return send.prepare(device=device, sent=sent, now=now, idempotency_key=key), Parsed(sent)

    return _put(call, *call.compute(prepare, len(raw) * _BYTE_S))


def store_of_network(call: Call) -> Any:
    """Store points of the device whose serial number the parser of the network finds in a payload."""
    network, authorization = call.subject, one(call.query, "authorization_token") or None
    scope = network_devices.scope(caller=call.caller, network=network, authorization=authorization, need="write")
    raw, payload = _sent(call)
    find = partial(parsers.find_serial, network=network, payload=payload)
    serial = call.compute(lambda: find(now_ms=clock.now_ms()), parsers.SECONDS, "script")
    call.device = device = network_devices.device_or_raise(scope=scope, serial=serial.serial)
    call.note(device=device["id"])

    def serial_at(now_ms: int) -> Serial:
        return serial if now_ms == serial.now_ms else find(now_ms=now_ms)

    return _store_parsed(call, parsers.chain_after_network(device), raw, payload, serial.now_ms, serial_at)


def _sent(call: Call) -> tuple[bytes, str]:
    """Return the body, as it was sent and as payload parsers get it."""
    raw = requests.body(call.request)
    return raw, requests.payload(call.request, raw)


def _store_parsed(
    call: Call, chain: Chain, raw: bytes, payload: str, now_ms: int, serial_at: Callable[[int], Serial] | None = None
) -> str:
    """Store the points that the payload parsers of the device make of a body, or of what the network's has made.

    Args:
        call: the request.
        chain: the parsers of the device.
        raw: the body.
        payload: the body as JSON.
        now_ms: the time of arrival, which a retry replaces by that of the first try.
        serial_at: returns what the parser of the network makes at a time. None: it is in the chain, or there is none.
    """
    device, key = chain.device, _key(call)
    quotas.check(profile=device["profile"], services=send.SERVICES)  # before the parsers take time
    first_ms = send.first_seen_ms(device=device, raw=raw, idempotency_key=key)
    now = send.Now(first_ms or now_ms, clock.arrival_us())

    def prepare() -> _Stored:
        serial = serial_at(now.time_ms) if serial_at else None
        parsed = parsers.parse(chain, payload=payload, raw=raw, now_ms=now.time_ms, serial=serial)
        prepared = send.prepare(device=device, sent=parsed.sent, now=now, idempotency_key=key)
        return prepared._replace(is_of_clock=True), parsed

    with parsers.showing(device["id"]):
        prepared, parsed = call.compute(prepare, parsers.SECONDS, "script")
        if first_ms not in (None, prepared.now_ms):  # the same request came again, and was stored while this one waited
            prepared, parsed = call.compute(prepare, parsers.SECONDS, "script")
    parsers.show(device["id"], parsed.notes)
    return _put(call, prepared, parsed)


def _put(call: Call, prepared: send.Prepared, parsed: Parsed) -> str:
    """Store what was prepared, if the device, which may have been changed meanwhile, still takes it."""
    call.note_ignored(parsed.sent.ignored)
    added = send.put(send.renewed(prepared, device=call.device))
    call.note(points=added)
    if parsed.dropped:
        call.note(dropped=parsed.dropped)
    return f"{added} Data Added"


def _key(call: Call) -> str | None:
    return requests.headers(call.request).get("idempotency-key")


def get(call: Call) -> Any:
    """Read points."""
    query = read_query(requests.parameters(call.request), clock.now_ms())
    call.note_ignored(query.ignored)
    as_csv = requests.wants_csv(call.request)
    as_list: AsList = "never"
    if query.kind in SCALARS:
        as_list = requests.scalars_as_list(call.request, is_profile=call.caller.kind != DEVICE)
    quotas.check(profile=call.profile, services=("output",))
    if as_csv:
        answer = tables.answer(device=call.device, query=query)
    else:
        answer = read.answer(device=call.device, query=query, as_list=as_list)
    quotas.note_output(profile=call.profile, device=call.device["id"], points=answer.output)
    call.note(points=answer.points)
    return Csv(answer.text, f"{call.device['id']}.csv") if as_csv else Json(answer.text)


def edit(call: Call) -> Any:
    """Change points."""
    call.note_ignored(ignored.fields(requests.body(call.request), call.body, schema.EDIT_FIELDS))
    done: dict[int, bool] = call.compute(dict, 0)
    changed = rewrite.edit(device=call.device, items=call.body, done=done)
    call.note(points=changed)
    return f"{changed} item(s) updated"


def delete(call: Call) -> Any:
    """Remove points."""
    query = read_deletion(requests.parameters(call.request), requests.body(call.request), clock.now_ms())
    removal = call.read(lambda: rewrite.find(device=call.device, query=query))
    removed = rewrite.remove(device=call.device, removal=removal)
    call.note(points=removed)
    return f"{removed} Data Removed"


_BYTE_S = 1e-7
"""How long a byte of a body takes to be parsed, at least."""
_OF_DEVICE = "/device/{device_id}/data"
_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route(
        "POST", "/data", store, who=(DEVICE,), need="write", rate="POST /data",
        note="SDK. JSON object or array, form-encoded, text/plain that holds JSON; also in gzip or deflate. At most "
        "200,000 bytes. Unknown fields are ignored; the log and the inspector name those of the first point. A device "
        "with payload parsers takes any content type",
    ),
    Route(
        "GET", "/data", get, who=(DEVICE,), rate="GET /data",
        note="SDK. Every `query`, filter, date format and spelling of a list. `timezone` shifts whole days and the "
        "buckets of `aggregate`, which also has weeks, 5, 10, 15 and 30 minutes, and the function `count`. Unknown "
        "parameters are ignored; the log and the inspector name them. `format=csv`, or an `Accept` that prefers "
        "`text/csv` to JSON, answers the same as CSV, without an envelope; an error has it",
    ),
    Route(
        "PUT", "/data", edit, who=(DEVICE,), need="write", body=schema.read_edits, rate="PUT /data",
        note="SDK. Mutable devices, at most 25 items",
    ),
    Route(
        "DELETE", "/data", delete, who=(DEVICE,), need="write", rate="DELETE /data",
        note="SDK. Mutable devices; takes effect at once",
    ),
    Route(
        "POST", _OF_DEVICE, store, who=_WHO, need="write", grant="device/send_data", rate="POST /data",
        note="SDK. With a profile token only where `DECANT_PROFILE_MAY_SEND` is on, as it is in the embedded mode",
    ),
    Route(
        "GET", _OF_DEVICE, get, who=(*_WHO, RUN_USER), grant="device/get_data", rate="GET /data",
        note="SDK. A run user needs `device/access`",
    ),
    Route(
        "PUT", _OF_DEVICE, edit, who=_WHO, need="write", body=schema.read_edits, grant="device/edit_data",
        rate="PUT /data", note="SDK",
    ),
    Route(
        "DELETE", _OF_DEVICE, delete, who=_WHO, need="write", grant="device/delete_data", rate="DELETE /data",
        note="SDK",
    ),
    Route(
        "POST", "/integration/network/data", store_of_network, who=(NETWORK,), need="write",
        rate="POST /integration/network/data",
        note="Any content type. The network's payload parser sets `serial`; then the connector's and the device's "
        "parsers run. `authorization_token` is a service authorization, whose profile has the device; without it, the "
        "network's has it",
    ),
)  # fmt: skip
