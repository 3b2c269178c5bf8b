"""/device: the devices of a profile."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import Call, Route
from chalicelib.schemas import devices as schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.devices import devices
from chalicelib.services.points import rewrite


def list_devices(call: Call) -> Any:
    """List devices."""
    tree = call.query
    query = read_list(tree, schema.LIST, clock.now_ms())
    serial = schema.read_serial(tree, query)
    return devices.list_page(profile=call.profile, query=query, resolve=schema.read_resolve(tree), serial=serial)


def create(call: Call) -> Any:
    """Create a device."""
    return devices.create(profile=call.profile, sent=call.body, giver=call.caller)


def info(call: Call) -> Any:
    """Return a device."""
    return devices.info(profile=call.profile, device=call.path["device_id"])


def edit(call: Call) -> Any:
    """Change a device."""
    devices.edit(profile=call.profile, device=call.path["device_id"], sent=call.body)
    return "Successfully Updated"


def delete(call: Call) -> Any:
    """Delete a device and all it has."""
    devices.delete(profile=call.profile, device=call.path["device_id"])
    return "Successfully Removed"


def data_amount(call: Call) -> Any:
    """Return how many points a device holds."""
    return devices.data_amount(profile=call.profile, device=call.path["device_id"])


def empty(call: Call) -> Any:
    """Remove all points of a device."""
    rewrite.empty(device=call.device)
    return "Data Successfully Removed"


def convert(call: Call) -> Any:
    """Change the storage type of an empty, inactive device."""
    devices.convert(profile=call.profile, device=call.path["device_id"], sent=call.body)
    return "Device type/chunk was converted"


ROUTES = (
    Route(
        "GET", "/device", list_devices, rate="GET /device",
        note="SDK. `fields`, `filter`, `orderBy`, `page`, `amount`, `resolve…Name`, `serial`",
    ),
    Route(
        "POST", "/device", create, need="write", body=schema.create, rate="POST /device",
        note="partly: SDK. Types mutable and immutable; hybrid and legacy are refused with 400. A payload decoder is "
        "kept but not run yet. The token `Default` has the permission of the token that asks",
    ),
    Route(
        "GET", "/device/{device_id}", info, rate="GET /device/:id",
        note="partly: SDK. On AWS `last_input` is up to a minute late; `last_output`, `inspected_at` and `rpm` are "
        "always null",
    ),
    Route(
        "PUT", "/device/{device_id}", edit, need="write", body=schema.edit, rate="PUT /device/:id",
        note="SDK. Network and connector only together, and only if the device has no tokens",
    ),
    Route(
        "DELETE", "/device/{device_id}", delete, need="full", rate="DELETE /device/:id",
        note="SDK. `_delete_protection_` is respected. Gone at once; what a large device holds is removed within the "
        "hour",
    ),
    Route(
        "GET", "/device/{device_id}/data_amount", data_amount, rate="GET /device/:id/data_amount",
        note="SDK. Exact in the embedded mode; on AWS up to a minute late",
    ),
    Route("POST", "/device/{device_id}/empty", empty, need="write", rate="POST /device/:id/empty", note="SDK"),
    Route(
        "POST", "/device/{device_id}/convert", convert, need="write", body=schema.convert,
        rate="POST /device/:id/convert", note="The device must be empty and inactive",
    ),
)  # fmt: skip
