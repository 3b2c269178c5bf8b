"""Configuration parameters: /device/params for the device itself, /device/{id}/params for its profile."""

from chalice.app import Blueprint, Response

from chalicelib import auth, http
from chalicelib.schemas import devices as schema
from chalicelib.schemas.queries import flag
from chalicelib.services.devices import devices, params

bp = Blueprint(__name__)
ANY_TYPE = ["*/*"]


@bp.route("/device/params", methods=["GET"])
def list_own() -> Response:
    """List the device's own parameters."""
    device = auth.require_device(bp.current_request, "read")
    sent_status = flag(http.query(bp.current_request), "sent_status")
    return http.ok(params.list_all(device=device["id"], sent_status=sent_status))


@bp.route("/device/params/{param_id}", methods=["PUT"], content_types=ANY_TYPE)
def set_sent(param_id: str) -> Response:
    """Note that the device has read a parameter."""
    device = auth.require_device(bp.current_request, "write")
    is_sent = schema.read_sent(http.body(bp.current_request))
    params.set_sent(device=device["id"], param=param_id, is_sent=is_sent)
    return http.ok("Params Successfully Updated")


@bp.route("/device/{device_id}/params", methods=["GET"])
def list_all(device_id: str) -> Response:
    """List a device's parameters."""
    profile = auth.require_profile(bp.current_request, "read")
    device = devices.get_or_raise(profile=profile, device=device_id)
    sent_status = flag(http.query(bp.current_request), "sent_status")
    return http.ok(params.list_all(device=device["id"], sent_status=sent_status))


@bp.route("/device/{device_id}/params", methods=["POST"], content_types=ANY_TYPE)
def merge(device_id: str) -> Response:
    """Change and add parameters."""
    profile = auth.require_profile(bp.current_request, "write")
    device = devices.get_or_raise(profile=profile, device=device_id)
    params.merge(device=device["id"], sent=http.read(bp.current_request, schema.one_or_more_params))
    return http.ok("Params Successfully Updated")


@bp.route("/device/{device_id}/params/{param_id}", methods=["DELETE"], content_types=ANY_TYPE)
def delete(device_id: str, param_id: str) -> Response:
    """Delete a parameter."""
    profile = auth.require_profile(bp.current_request, "full")
    device = devices.get_or_raise(profile=profile, device=device_id)
    params.delete(device=device["id"], param=param_id)
    return http.ok("Successfully Removed")
