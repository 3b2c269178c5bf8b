"""/device: the devices of a profile."""

from typing import Any
from urllib.parse import unquote

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, RUN_USER, Call, Route
from chalicelib.schemas import devices as schema
from chalicelib.schemas.lists import read_list
from chalicelib.schemas.statistics import read_statistics
from chalicelib.services.devices import devices
from chalicelib.services.points import rewrite
from chalicelib.services.usage import statistics


def list_devices(call: Call) -> Any:
    """List devices."""
    tree = call.query
    query = read_list(tree, schema.LIST, clock.now_ms())
    serial = schema.read_serial(tree, query)
    resolve = schema.read_resolve(tree)
    return devices.list_page(profile=call.profile, query=query, resolve=resolve, serial=serial, may_see=call.may_see)


def find(call: Call) -> Any:
    """List the devices with a serial number."""
    tree = call.query
    query = read_list(tree, schema.FIND_LIST, clock.now_ms())
    resolve = schema.read_resolve(tree)
    return devices.list_page(profile=call.profile, query=query, resolve=resolve, serial=unquote(call.path["serial"]))


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


def device_statistics(call: Call) -> Any:
    """Return what a device has sent and read over time."""
    query = read_statistics(call.query, clock.now_ms())
    return statistics.of_device(profile=call.profile, device=call.device["id"], query=query)


def empty(call: Call) -> Any:
    """Remove all points of a device."""
    rewrite.empty(device=call.device)
    return "Data Successfully Removed"


def convert(call: Call) -> Any:
    """Change the storage type of an empty, inactive device."""
    devices.convert(profile=call.profile, device=call.path["device_id"], sent=call.body)
    return "Device type/chunk was converted"


_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route(
        "GET", "/device", list_devices, who=(*_WHO, RUN_USER), grant="device/access", rate="GET /device",
        note="SDK. `fields`, `filter`, `orderBy`, `page`, `amount`, `resolve…Name`, `serial`",
    ),
    Route(
        "POST", "/device", create, who=_WHO, need="write", body=schema.create, grant="device/create",
        rate="POST /device",
        note="partly: SDK. Types mutable and immutable; hybrid and legacy are refused with 400. A payload decoder "
        "runs for all that the device sends. The token `Default` has the permission of the token that asks. "
        "`serie_number` gets the form of the network's mask; 400 if the network requires one, or if another device of "
        "the network has it",
    ),
    Route(
        "GET", "/device/find/{serial}", find, rate="GET /device",
        note="As `GET /device?serial=`: the serial number as it is stored, or in any form that the mask of the "
        "device's network takes",
    ),
    Route(
        "GET", "/device/{device_id}", info, who=(*_WHO, RUN_USER), grant="device/access", rate="GET /device/:id",
        note="partly: SDK. On AWS `last_input` is up to a minute late, `last_output` up to ten; `inspected_at` is "
        "always null",
    ),
    Route(
        "PUT", "/device/{device_id}", edit, who=_WHO, need="write", body=schema.edit, grant="device/edit",
        rate="PUT /device/:id",
        note="SDK. Network and connector only together, and only if the device has no tokens",
    ),
    Route(
        "DELETE", "/device/{device_id}", delete, who=_WHO, need="full", grant="device/delete",
        rate="DELETE /device/:id",
        note="SDK. `_delete_protection_` is respected. Gone at once; what a large device holds is removed within the "
        "hour",
    ),
    Route(
        "GET", "/device/{device_id}/data_amount", data_amount, who=_WHO, grant="device/access",
        rate="GET /device/:id/data_amount",
        note="SDK. Exact in the embedded mode; on AWS up to a minute late",
    ),
    Route(
        "GET", "/bucket/{device_id}/data_amount", data_amount, who=_WHO, grant="device/access",
        rate="GET /device/:id/data_amount", note="As `/device/{id}/data_amount`",
    ),
    Route(
        "GET", "/device/{device_id}/statistics", device_statistics, who=_WHO, grant="device/access",
        note="SDK. `periodicity`, `start_date`, `end_date`, `timezone`; also `date`. Kept for 14 months. On AWS input "
        "is up to a minute late, output up to ten minutes",
    ),
    Route(
        "POST", "/device/{device_id}/empty", empty, who=_WHO, need="write", grant="device/delete_data",
        rate="POST /device/:id/empty", note="SDK",
    ),
    Route(
        "POST", "/device/{device_id}/convert", convert, who=_WHO, need="write", body=schema.convert,
        grant="device/edit", rate="POST /device/:id/convert", note="The device must be empty and inactive",
    ),
)  # fmt: skip
