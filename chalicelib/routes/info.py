"""/info and /status."""

from chalice.app import Blueprint, Response

from chalicelib import __version__, auth, http
from chalicelib.services.access import tokens
from chalicelib.services.devices import devices

bp = Blueprint(__name__)


@bp.route("/info", methods=["GET"])
def info() -> Response:
    """Describe the device, or the profile token, that is asking."""
    grant = auth.require_any(bp.current_request)
    if grant.kind == "device":
        return http.ok(devices.show(auth.require_device(bp.current_request, "read")))
    return http.ok(tokens.describe(grant=grant))


@bp.route("/status", methods=["GET"])
def status() -> Response:
    """Tell the version, to anybody."""
    return http.ok({"version": __version__})
