"""/device: the devices of a profile."""

from chalice.app import Blueprint, Response

from chalicelib import auth, http
from chalicelib.host import clock
from chalicelib.schemas import devices as schema
from chalicelib.schemas.queries import flag
from chalicelib.services.devices import devices
from chalicelib.services.points import rewrite

bp = Blueprint(__name__)
ANY_TYPE = ["*/*"]


@bp.route("/device", methods=["GET"])
def list_page() -> Response:
    """List devices."""
    profile = auth.require_profile(bp.current_request, "read")
    tree, now_ms = http.query(bp.current_request), clock.now_ms()
    query = schema.read_list(
        tree, allowed=devices.FIELDS, default=devices.DEFAULT_FIELDS, order="name,asc", now_ms=now_ms
    )
    names = {
        f"{kind}_name": bool(flag(tree, f"resolve{kind.title()}Name")) for kind in ("bucket", "connector", "network")
    }
    return http.ok(devices.list_page(profile=profile, query=query, names=names, serial=schema.serial(tree)))


@bp.route("/device", methods=["POST"], content_types=ANY_TYPE)
def create() -> Response:
    """Make a device."""
    profile = auth.require_profile(bp.current_request, "write")
    return http.ok(devices.create(profile=profile, sent=http.read(bp.current_request, schema.device)))


@bp.route("/device/{device_id}", methods=["GET"])
def info(device_id: str) -> Response:
    """Return a device."""
    profile = auth.require_profile(bp.current_request, "read")
    return http.ok(devices.info(profile=profile, device=device_id))


@bp.route("/device/{device_id}", methods=["PUT"], content_types=ANY_TYPE)
def edit(device_id: str) -> Response:
    """Change a device."""
    profile = auth.require_profile(bp.current_request, "write")
    devices.edit(profile=profile, device=device_id, sent=http.read(bp.current_request, schema.device_edit))
    return http.ok("Successfully Updated")


@bp.route("/device/{device_id}", methods=["DELETE"], content_types=ANY_TYPE)
def delete(device_id: str) -> Response:
    """Delete a device and all it has."""
    profile = auth.require_profile(bp.current_request, "full")
    devices.delete(profile=profile, device=device_id)
    return http.ok("Successfully Removed")


@bp.route("/device/{device_id}/data_amount", methods=["GET"])
def data_amount(device_id: str) -> Response:
    """Return how many points a device holds."""
    profile = auth.require_profile(bp.current_request, "read")
    return http.ok(devices.data_amount(profile=profile, device=device_id))


@bp.route("/device/{device_id}/empty", methods=["POST"], content_types=ANY_TYPE)
def empty(device_id: str) -> Response:
    """Remove all points of a device."""
    profile = auth.require_profile(bp.current_request, "write")
    rewrite.empty(device=devices.get_or_raise(profile=profile, device=device_id))
    return http.ok("Data Successfully Removed")


@bp.route("/device/{device_id}/convert", methods=["POST"], content_types=ANY_TYPE)
def convert(device_id: str) -> Response:
    """Change the storage type of an empty, inactive device."""
    profile = auth.require_profile(bp.current_request, "write")
    devices.convert(profile=profile, device=device_id, sent=http.read(bp.current_request, schema.conversion))
    return http.ok("Device type/chunk was converted")
