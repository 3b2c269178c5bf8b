"""/device/token: the tokens of devices."""

from chalice.app import Blueprint, Response

from chalicelib import auth, http
from chalicelib.host import clock
from chalicelib.schemas import devices as lists
from chalicelib.schemas import tokens as schema
from chalicelib.services.access import tokens
from chalicelib.services.devices import devices

bp = Blueprint(__name__)
ANY_TYPE = ["*/*"]


@bp.route("/device/token", methods=["POST"], content_types=ANY_TYPE)
def create() -> Response:
    """Make a token of a device."""
    profile = auth.require_profile(bp.current_request, "write")
    sent = http.read(bp.current_request, schema.device_token)
    device = devices.get_or_raise(profile=profile, device=sent["device"])
    return http.ok(tokens.create(kind="device", profile=profile, device=device["id"], sent=sent))


@bp.route("/device/token/{device_id_or_token}", methods=["GET"])
def list_page(device_id_or_token: str) -> Response:
    """List the tokens of a device."""
    profile = auth.require_profile(bp.current_request, "read")
    query = lists.read_list(
        http.query(bp.current_request),
        allowed=schema.TOKEN_FIELDS,
        default=("name", "token", "permission"),
        order="created_at,desc",
        now_ms=clock.now_ms(),
    )
    device = devices.get_or_raise(profile=profile, device=device_id_or_token)
    return http.ok(tokens.list_page(device=device["id"], query=query))


@bp.route("/device/token/{device_id_or_token}", methods=["DELETE"], content_types=ANY_TYPE)
def delete(device_id_or_token: str) -> Response:
    """Delete a token."""
    profile = auth.require_profile(bp.current_request, "full")
    tokens.delete(profile=profile, text=device_id_or_token)
    return http.ok("Token Successfully Removed")
