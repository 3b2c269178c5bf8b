"""/integration/network, under the token of a network: its devices, their data, and messages to them."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http import requests
from chalicelib.http.route import NETWORK, Call, Route
from chalicelib.schemas import devices as devices_schema
from chalicelib.schemas import params as params_schema
from chalicelib.schemas import publications as publications_schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.devices import network_devices, relays


def resolve(call: Call) -> Any:
    """Return the token of the device with a serial number."""
    authorization = call.path.get("authorization")
    scope = network_devices.scope(caller=call.caller, network=call.subject, authorization=authorization, need="read")
    return network_devices.resolve(scope=scope, serial=requests.path_text(call.path["serial"]))


def resolve_with_authorization(call: Call) -> Any:
    """Return the token of a device with a serial number, in the profile of a service authorization."""
    return resolve(call)


def create_in_network(call: Call) -> Any:
    """Create a device of the network."""
    return network_devices.create(caller=call.caller, sent=call.body)


def merge_in_network(call: Call) -> Any:
    """Change and add parameters of a device of the network."""
    network_devices.merge_params(caller=call.caller, device=call.path["network_id"], sent=call.body)
    return "Device Configuration Parameter Updated"


def list_in_network(call: Call) -> Any:
    """List the devices of the network with a connector."""
    tree = call.query
    query = read_list(tree, devices_schema.NETWORK_LIST, clock.now_ms())
    serial = devices_schema.read_serial(tree, query)
    return network_devices.list_page(
        caller=call.caller, network=call.subject, connector=call.path["network_id"], query=query, serial=serial
    )


def relay(call: Call) -> Any:
    """Publish a message to a device by the network's middleware."""
    from chalicelib.host import outside  # noqa: PLC0415 - it imports ssl, which takes 20 ms

    url, document = relays.request(caller=call.caller, network=call.subject, sent=call.body)
    call.compute(lambda: relays.post(url, document), outside.LIMIT_S, "post")
    return "MQTT Publish Success"


_WHO = (NETWORK,)
_RESOLVE = "GET /integration/network/resolve/:serial"
ROUTES = (
    Route(
        "GET", "/integration/network/resolve/{serial}", resolve, who=_WHO, need="write", rate=_RESOLVE,
        note="SDK. Only devices of the network's own profile; `details` is ignored. Of several devices the "
        "newest counts, and of its tokens one that has no more rights than the network's; 401 if there is none. Needs "
        "`write`, as with an authorization",
    ),
    Route(
        "GET", "/integration/network/resolve/{serial}/{authorization}", resolve_with_authorization, who=_WHO,
        need="write", rate=_RESOLVE,
        note="SDK. Devices of the authorization's profile that name the network. The token has no more rights than the "
        "authorization either, which needs only `read`. Needs `write`, as the device's token notes the authorization",
    ),
    Route(
        "POST", "/integration/network/device", create_in_network, who=_WHO, need="write",
        body=devices_schema.create_in_network, rate="POST /device",
        note="In the network's profile. The token needs `privileges.createDevice`; the device's token has the same "
        "permission",
    ),
    Route(
        "POST", "/integration/network/{network_id}/params", merge_in_network, who=_WHO, need="write",
        body=params_schema.one_or_more, rate="POST /integration/network/:id/params",
        note="SDK. The id is that of a device of the network, in its own profile. Merges; at most 60",
    ),
    Route(
        "GET", "/integration/network/{network_id}/devices", list_in_network, who=_WHO,
        rate="GET /integration/network/:id/devices",
        note="SDK. The id is that of a connector. 400 unless the network has `require_devices_access`. `token` is the "
        "newest one that has no more rights than the network's, or null. Takes `fields`, too",
    ),
    Route(
        "POST", "/integration/network/publish", relay, who=_WHO, need="write", body=publications_schema.relay,
        rate="POST /integration/network/publish",
        note="SDK. Posts `device`, `topic`, `message`, `qos` and `retain` once to `/publish` below the network's "
        "`middleware_endpoint`: over HTTPS, to a public address, within 5 s. Else 400",
    ),
)  # fmt: skip
