"""/device/{id}/chunk: the chunks of an immutable device."""

from chalice.app import Blueprint, Response

from chalicelib import auth, http
from chalicelib.services.devices import devices
from chalicelib.services.points import chunks

bp = Blueprint(__name__)


@bp.route("/device/{device_id}/chunk", methods=["GET"])
def list_all(device_id: str) -> Response:
    """List the chunks that hold points."""
    profile = auth.require_profile(bp.current_request, "read")
    return http.ok(chunks.list_all(device=devices.get_or_raise(profile=profile, device=device_id)))


@bp.route("/device/{device_id}/chunk/{chunk_id}", methods=["DELETE"], content_types=["*/*"])
def delete(device_id: str, chunk_id: str) -> Response:
    """Remove all points of a chunk."""
    profile = auth.require_profile(bp.current_request, "full")
    chunks.delete(device=devices.get_or_raise(profile=profile, device=device_id), chunk=chunk_id)
    return http.ok(f"Chunk {chunk_id} deleted")
