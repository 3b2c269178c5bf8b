"""POST /integration/network/data: the network's parser finds the device, and the other parsers go on. On both stores."""

import json

import pytest

from chalicelib.host import log
from chalicelib.services.devices import network_devices
from chalicelib.services.usage import limits, plans
from tests.kit.api import Api
from tests.kit.networks import Network, authorization
from tests.kit.parsers import encoded, ready
from tests.kit.world import World, values

ready()
PATH = "/integration/network/data"
FINDS = "serial = payload[0].serial; payload = payload.map(({serial, ...rest}) => rest)"
RELAY = [{"variable": "payload", "value": '{"id": "S1", "temp": 21}', "metadata": {"topic": "up/S1", "qos": 1}}]
"""What TagoIO's MQTT relay sends."""
READS_RELAY = """
const {id, temp} = JSON.parse(payload.find((x) => x.variable === 'payload').value)
serial = id
payload = [{variable: 'temp', value: temp, group: 7}, {variable: 'topic', value: payload[0].metadata.topic}]
"""


@pytest.fixture
def network(world):
    return Network(world, parser=FINDS)


def sent(network, text=None, *, api=None, **point):
    """Send a point with the serial number S1, unless it names another; return status and result or message."""
    query = {"authorization_token": text} if text else {}
    answer = (api or network.api).post(PATH, [{"serial": "S1", "variable": "a", "value": 1} | point], query=query)
    return answer.status, answer.result if answer.status == 200 else answer.message


def read(token):
    return values(Api(token).get("/data").result)


def test_data_is_stored_for_the_device_that_the_parser_names(network):
    token = network.device("S1")[1]
    other = network.device("S2")[1]
    assert sent(network) == (200, "1 Data Added") and sent(network, serial="S2", value=2)[0] == 200
    assert (read(token), read(other)) == ([1], [2])


def test_relays_of_tagoio_work_as_they_are(world):
    network = Network(world, parser=READS_RELAY)
    token = network.device("S1")[1]
    headers = {"AUTHORIZATION": network.token}
    answer = Api().post(f"{PATH}?authorization_token={authorization(world)}", RELAY, headers=headers)
    assert answer.result == "2 Data Added"
    assert [(one["variable"], one["value"]) for one in Api(token).get("/data").result] == [
        ("topic", "up/S1"),
        ("temp", 21),
    ]


def test_serial_number_is_read_by_the_rule_of_the_network(world):
    network = Network(world, parser=FINDS, serial_number={"mask": "FF-FF", "case": "upper"})
    token = network.device("AA-01")[1]
    assert sent(network, serial="aa01")[0] == sent(network, serial="aa-01")[0] == 200
    assert sent(network, serial="AA02") == (404, "Serial number not found") == sent(network, serial="x")
    assert len(read(token)) == 2


def test_serial_number_with_blanks_around_it_is_another_one(network):
    tokens = [network.device(serial)[1] for serial in ("S1", " S1 ")]
    assert sent(network, serial=" S1 ", value=2)[0] == sent(network, serial="S1")[0] == 200
    assert [read(token) for token in tokens] == [[1], [2]]
    assert sent(network, serial="S1 ") == (404, "Serial number not found")


def test_raw_text_of_any_content_type_reaches_the_parser(world):
    network = Network(
        world, parser="serial = payload.slice(0, 2); payload = [{variable: 'rest', value: payload.slice(2)}]"
    )
    token = network.device("S1")[1]
    for kind in ("text/plain", "application/x-sensor", "image/png"):
        assert network.api.post(PATH, raw="S1 on", headers={"content-type": kind}).result == "1 Data Added"
    assert read(token) == [" on"] * 3


def test_the_other_parsers_go_on_with_what_the_networks_has_made(world, network, inspector):
    device, token = network.device("S1")
    source = "payload = [{variable: 'seen', metadata: {payload, raw_payload, device}}]; console.log('connector')"
    world.admin.put(f"/integration/connector/{network.connector}", {"payload_decoder": encoded(source)})
    own = "payload[0].value = typeof serial; payload = payload[0]"
    world.admin.put(f"/device/{device}", {"payload_decoder": encoded(own)})
    world.admin.post(f"/device/{device}/params", {"key": "k", "value": "v"})
    loud = FINDS + "; console.log('network', serial)"
    world.admin.put(f"/integration/network/{network.id}", {"payload_decoder": encoded(loud)})
    assert sent(network) == (200, "1 Data Added")
    (point,) = Api(token).get("/data").result
    assert point["value"] == "undefined"
    seen = point["metadata"]
    assert seen["payload"] == [{"variable": "a", "value": 1}]
    assert seen["raw_payload"] == [{"serial": "S1", "variable": "a", "value": 1}]
    assert seen["device"]["id"] == device and seen["device"]["params"][0]["key"] == "k"
    assert inspector.lines == ["network: network S1", "connector: connector"]


def test_nothing_is_stored_without_a_serial_number(world):
    network = Network(world, parser="payload = []")
    token = network.device("S1")[1]
    for parser in ("payload = []", "serial = ''", "serial = null", "serial = '  '", None):
        decoder = None if parser is None else encoded(parser)
        world.admin.put(f"/integration/network/{network.id}", {"payload_decoder": decoder})
        status, message = sent(network)
        assert status == 400 and "must set serial" in message, message
    assert read(token) == []


def test_a_parser_that_fails_names_its_stage_and_line(world, network):
    device, token = network.device("S1")
    world.admin.put(f"/device/{device}", {"payload_decoder": encoded("let a = 1\n\nb.c = a")})
    status, message = sent(network)
    assert status == 400 and message.startswith("Function Parse Error: ReferenceError")
    assert message.endswith("(device parser, line 3)")
    world.admin.put(f"/integration/network/{network.id}", {"payload_decoder": encoded("\nthrow 'no'")})
    status, message = sent(network)
    assert status == 400 and "no" in message and "network parser" in message
    assert read(token) == []


def test_records_of_a_networks_parser_alone_are_mended_too(world):
    network = Network(world, parser="serial = 'S1'; payload = {variable: 'a.b', value: 1, group: 5, unit: 3}")
    token = network.device("S1")[1]
    assert network.api.post(PATH, {}).result == "1 Data Added"
    (point,) = Api(token).get("/data").result
    assert (point["variable"], point["group"], point["unit"]) == ("a_b", "5", "3")


def test_an_empty_list_stores_nothing_and_counts_as_input(world):
    network = Network(world, parser="serial = 'S1'; payload = []")
    device, token = network.device("S1")
    assert world.admin.get(f"/device/{device}").result["last_input"] is None
    assert network.api.post(PATH, {"x": 1}).result == "0 Data Added"
    assert read(token) == [] and world.admin.get(f"/device/{device}").result["last_input"] is not None


def test_data_goes_only_to_devices_in_reach(world, network):
    other = World()
    theirs = network.device("S1", other)[1]
    not_found = (404, "Serial number not found")
    assert sent(network) == not_found
    own = network.device("S1")[1]
    text = authorization(other)
    assert sent(network, text, value=2) == sent(network, value=1) == (200, "1 Data Added")
    assert (read(theirs), read(own)) == ([2], [1])
    assert sent(network, authorization(World())) == not_found
    assert network.api.post(f"{PATH}?authorization_token=", [{"serial": "S1"}]).result == "0 Data Added"
    for wrong in ("x", "at" + "0" * 32, other.profile_token, theirs, network.token, authorization(other, "read")):
        assert sent(network, wrong) == (401, "Authorization Denied"), wrong
    assert Network(world, parser=FINDS).api.post(PATH, [{"serial": "S1", "variable": "a"}]).status == 404
    assert (read(theirs), read(own)) == ([2], [1])


def test_permissions_and_devices_that_take_nothing(world, network):
    device = network.device("S1")[0]
    assert sent(network, api=Api(network.new_token("read"))) == (401, "Authorization Denied")
    assert sent(network, api=Api(network.new_token("write")))[0] == 200
    for caller in (None, world.token, world.profile_token, authorization(world)):
        assert Api(caller).post(PATH, [{"serial": "S1"}]).status == 401
    world.admin.put(f"/device/{device}", {"active": False})
    assert sent(network) == (400, "Device is deactivated")
    reads = {"device": network.device("S2")[0], "name": "n", "permission": "read", "serie_number": "S3"}
    world.admin.post("/device/token", reads)
    assert sent(network, serial="S3") == (401, "Authorization Denied")


def test_bodies_that_no_parser_gets(network):
    network.device("S1")
    assert network.api.post(PATH, raw="").status == 400
    assert network.api.post(PATH, raw="[", headers={"content-type": "application/json"}).status == 400
    assert network.api.post(PATH, raw='"' + "x" * 200_001 + '"').status == 413


def test_rate_is_of_the_networks_profile_and_quota_of_the_devices(clock, sqlite, monkeypatch):
    mine, theirs = World(), World()
    network = Network(mine, parser=FINDS)
    network.device("S1", theirs)
    tiny = plans.load()[plans.DEFAULT]
    figures = dict.fromkeys(plans.load()["free"].per_minute, 100)
    two = tiny._replace(name="two", per_minute=figures | {f"POST {PATH}": 2}, others_per_minute=100)
    none = tiny._replace(name="none", quotas={"input": 1})
    monkeypatch.setattr(plans, "load", lambda: {"two": two, "none": none, plans.DEFAULT: tiny})
    text = authorization(theirs)
    limits.change(theirs.profile, plan="none")
    assert sent(network, text)[0] == 200
    status, message = sent(network, text)
    assert status == 402 and "Data input (1)" in message
    limits.change(theirs.profile, plan=plans.DEFAULT)
    limits.change(mine.profile, plan="two")
    assert [sent(network, text)[0] for _ in range(3)] == [200, 200, 429]


def test_a_retry_with_an_idempotency_key_is_stored_once(world, network):
    token = network.device("S1")[1]
    body, headers = [{"serial": "S1", "variable": "a", "value": 1}], {"idempotency-key": "k"}
    for _ in range(2):
        assert network.api.post(PATH, body, headers=headers).result == "1 Data Added"
    assert read(token) == [1]


def test_a_retry_with_a_key_has_the_clock_of_the_first_try(world, clock, monkeypatch):
    """Else the parser of the network would make another point of it. The clock goes on between the two parsers."""
    find = network_devices.device_or_raise

    def slow(**more):
        clock.advance(0.004)
        return find(**more)

    monkeypatch.setattr(network_devices, "device_or_raise", slow)
    network = Network(
        world, parser="serial = 'S1'; payload = [{variable: 'a', value: 1, time: new Date().toISOString()}]"
    )
    token = network.device("S1")[1]
    for _ in range(3):
        assert network.api.post(PATH, [{}], headers={"idempotency-key": "k"}).result == "1 Data Added"
        clock.advance(1)
    assert read(token) == [1]


def test_log_and_inspector_hold_no_authorization(world, network, inspector):
    lines: list[str] = []
    log.use(lines.append)
    network.device("S1")
    text = authorization(world)
    assert sent(network, text, timestamp=1)[0] == 200
    network.api.get(f"/integration/network/resolve/S1/{text}")
    assert json.loads(lines[-2])["points"] == 1
    for place in ("".join(lines), str(inspector.entries)):
        assert text[2:] not in place and network.token[2:] not in place
    assert any("ignored" in content for _, content in inspector.entries)
