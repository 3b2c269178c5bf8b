"""/data, for a device token, and /device/{id}/data, for a profile token."""

from typing import Any

from chalice.app import Blueprint, Request, Response

from chalicelib import auth, errors, http, settings
from chalicelib.codec import times
from chalicelib.host import clock, log
from chalicelib.schemas import points as schema
from chalicelib.schemas.queries import SCALARS, PointQuery, read_query
from chalicelib.services.devices import devices
from chalicelib.services.points import aggregates, queries, rewrite, send
from chalicelib.store import Doc

bp = Blueprint(__name__)
ANY_TYPE = ["*/*"]


@bp.route("/data", methods=["POST"], content_types=ANY_TYPE)
def send_own() -> Response:
    """Store points."""
    device = auth.require_device(bp.current_request, "write")
    return _send(bp.current_request, device)


@bp.route("/data", methods=["GET"])
def read() -> Response:
    """Read points."""
    device = auth.require_device(bp.current_request, "read")
    return _read(bp.current_request, device)


@bp.route("/data", methods=["PUT"], content_types=ANY_TYPE)
def edit() -> Response:
    """Change points."""
    device = auth.require_device(bp.current_request, "write")
    return _edit(bp.current_request, device)


@bp.route("/data", methods=["DELETE"], content_types=ANY_TYPE)
def delete() -> Response:
    """Remove points."""
    device = auth.require_device(bp.current_request, "write")
    return _delete(bp.current_request, device)


@bp.route("/device/{device_id}/data", methods=["POST"], content_types=ANY_TYPE)
def send_for(device_id: str) -> Response:
    """Store points of one of the profile's devices."""
    device = _device_of_profile(device_id, "write")
    if not settings.current().profile_may_send:
        raise errors.Denied
    return _send(bp.current_request, device)


@bp.route("/device/{device_id}/data", methods=["GET"])
def read_for(device_id: str) -> Response:
    """Read points of one of the profile's devices."""
    return _read(bp.current_request, _device_of_profile(device_id, "read"))


@bp.route("/device/{device_id}/data", methods=["PUT"], content_types=ANY_TYPE)
def edit_for(device_id: str) -> Response:
    """Change points of one of the profile's devices."""
    return _edit(bp.current_request, _device_of_profile(device_id, "write"))


@bp.route("/device/{device_id}/data", methods=["DELETE"], content_types=ANY_TYPE)
def delete_for(device_id: str) -> Response:
    """Remove points of one of the profile's devices."""
    return _delete(bp.current_request, _device_of_profile(device_id, "write"))


def _device_of_profile(device_id: str, need: auth.Need) -> Doc:
    profile = auth.require_profile(bp.current_request, need)
    return devices.get_or_raise(profile=profile, device=device_id)


def _send(request: Request, device: Doc) -> Response:
    raw = http.body(request)
    items = schema.read_points(raw, is_form=http.is_form(request))
    key = http.headers(request).get("idempotency-key")
    added = send.send(device=device, items=items, raw=raw, idempotency_key=key)
    log.note(request, points=added)
    return http.ok(f"{added} Data Added")


def _read(request: Request, device: Doc) -> Response:
    query = read_query(http.parameters(request), clock.now_ms())
    if query.kind in SCALARS:
        return http.ok(_scalar(device, query))
    if query.kind == "aggregate":
        return http.ok(aggregates.aggregate(device=device, query=query))
    runs = queries.select(device=device, query=query)
    log.note(request, points=sum(len(indices) for _, indices in runs))
    return http.ok_text(queries.splice(runs, details=query.details))


def _scalar(device: Doc, query: PointQuery) -> Any:
    is_count = query.kind == "count"
    value = queries.count(device=device, query=query) if is_count else queries.total(device=device, query=query)
    if not settings.current().scalar_as_list:
        return value
    return [] if value is None else [{"time": times.to_iso(clock.now_ms()), "value": value}]


def _edit(request: Request, device: Doc) -> Response:
    items = schema.read_edits(http.body(request))
    changed = rewrite.edit(device=device, items=items)
    log.note(request, points=changed)
    return http.ok(f"{changed} item(s) updated")


def _delete(request: Request, device: Doc) -> Response:
    query = read_query(http.parameters(request), clock.now_ms())
    removed = rewrite.delete(device=device, query=query)
    log.note(request, points=removed)
    return http.ok(f"{removed} Data Removed")
