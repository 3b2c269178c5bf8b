"""/action: which MQTT messages are stored; and /analysis/services/mqtt/publish: messages to devices."""

from chalice.app import Blueprint, Response

from chalicelib import auth, http
from chalicelib.host import clock, mqtt
from chalicelib.schemas import actions as schema
from chalicelib.schemas.devices import read_list
from chalicelib.services.devices import actions, devices

bp = Blueprint(__name__)
ANY_TYPE = ["*/*"]


@bp.route("/action", methods=["GET"])
def list_page() -> Response:
    """List the profile's actions."""
    profile = auth.require_profile(bp.current_request, "read")
    query = read_list(
        http.query(bp.current_request),
        allowed=schema.FIELDS,
        default=schema.DEFAULT_FIELDS,
        order="name,asc",
        now_ms=clock.now_ms(),
    )
    return http.ok(actions.list_page(profile=profile, query=query))


@bp.route("/action", methods=["POST"], content_types=ANY_TYPE)
def create() -> Response:
    """Make an action."""
    profile = auth.require_profile(bp.current_request, "write")
    sent = schema.read_create(http.body(bp.current_request))
    return http.ok({"action": actions.create(profile=profile, sent=sent)})


@bp.route("/action/{action_id}", methods=["GET"])
def info(action_id: str) -> Response:
    """Return an action."""
    profile = auth.require_profile(bp.current_request, "read")
    return http.ok(actions.info(profile=profile, action=action_id))


@bp.route("/action/{action_id}", methods=["PUT"], content_types=ANY_TYPE)
def edit(action_id: str) -> Response:
    """Change an action."""
    profile = auth.require_profile(bp.current_request, "write")
    sent = schema.read_edit(http.body(bp.current_request))
    actions.edit(profile=profile, action=action_id, sent=sent)
    return http.ok("Successfully Updated")


@bp.route("/action/{action_id}", methods=["DELETE"], content_types=ANY_TYPE)
def delete(action_id: str) -> Response:
    """Delete an action."""
    profile = auth.require_profile(bp.current_request, "full")
    actions.delete(profile=profile, action=action_id)
    return http.ok("Successfully Removed")


@bp.route("/analysis/services/mqtt/publish", methods=["POST"], content_types=ANY_TYPE)
def publish() -> Response:
    """Publish a message to a device's clients."""
    profile = auth.require_profile(bp.current_request, "write")
    sent = schema.read_publication(http.body(bp.current_request))
    device = devices.get_or_raise(profile=profile, device=sent["device"])
    mqtt.current().publish(
        device=device["id"], topic=sent["topic"], payload=sent["message"].encode(), qos=min(1, sent["qos"])
    )
    return http.ok("MQTT Publish Success")
