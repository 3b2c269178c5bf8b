"""MQTT over WebSocket at ``/mqtt`` on the HTTP port: the same broker, so only what the transport changes."""

import json

import pytest

from bench import mqtt
from bench.servers import Server
from tests.mqtt.client import Client
from tests.mqtt.raw import (
    CONNACK,
    PINGRESP,
    PUBACK,
    PUBLISH,
    STORED,
    SUBACK,
    WebSocket,
    Will,
    connect,
    disconnect,
    publish,
    subscribe,
)  # fmt: skip


def port_of(program):
    return int(program.url.rsplit(":", 1)[1])


@pytest.mark.parametrize("version", [3, 4, 5])
def test_basic_over_websocket(device, peer, version):
    client = peer(device.token, version=version, link="websocket")
    assert client.link.headers["sec-websocket-protocol"] == "mqtt"
    assert client.subscribe(("a", 1)) == (1,)
    for qos in (0, 1):
        client.send(publish("a", f"qos {qos}", qos, version=version))
        found = [client.next() for _ in range(qos + 1)]
        assert {one.kind for one in found} == ({PUBLISH, PUBACK} if qos else {PUBLISH})
    client.publish(STORED, json.dumps({"variable": "n", "value": 1}), 1, 2)
    assert device.values() == [1]
    client.send(disconnect())
    assert client.rest() == []


def test_messages_go_between_tcp_and_websocket(device, peer):
    browser, thing = peer(device.token, "b", link="websocket"), peer(device.token, "t")
    browser.subscribe("up")
    thing.subscribe("down")
    thing.publish("up", "x" * 100_000, 1)
    assert len(browser.message().payload) == 100_000
    browser.publish("down", "y" * 100_000, 1)
    assert len(thing.message().payload) == 100_000


def test_packets_need_not_be_aligned_with_frames(device, peer):
    client = peer(link="websocket")
    for sent, kind in ((connect(device.token), CONNACK), (subscribe("a"), SUBACK), (publish("a", "x" * 300), PUBLISH)):
        for at in range(0, len(sent), 7):
            client.link.send_frame(WebSocket.BINARY, sent[at : at + 7])
        client.expect(kind)
    client.send(publish("a", "1"), publish("a", "2"), b"\xc0\x00")
    assert [client.next().kind for _ in range(3)] == [PUBLISH, PUBLISH, PINGRESP]


def test_message_in_fragments_with_a_ping_between(device, peer):
    client = peer(link="websocket")
    whole = connect(device.token)
    client.link.send_frame(WebSocket.BINARY, whole[:10], is_last=False)
    client.link.send_frame(WebSocket.PING, b"between")
    client.link.send_frame(0, whole[10:])
    assert client.link.receive_frame() == (WebSocket.PONG, b"between")
    assert client.expect(CONNACK).reasons == (0,)


def test_text_frame_ends_the_connection(device, peer):
    client = peer(device.token, link="websocket")
    client.link.send_frame(1, b"hello")
    kind, data = client.link.receive_frame()
    while kind != WebSocket.CLOSE:
        kind, data = client.link.receive_frame()
    assert int.from_bytes(data[:2]) in (1002, 1003)
    assert client.next() is None


def test_close_frame_is_answered_and_the_will_sent(device, peer):
    watcher = peer(device.token, "w")
    watcher.subscribe("wills")
    client = peer(device.token, "c", link="websocket", will=Will("wills", "gone"))
    client.link.send_frame(WebSocket.CLOSE, (1000).to_bytes(2))
    assert client.link.receive_frame()[0] == WebSocket.CLOSE
    assert watcher.message().payload == b"gone"


def test_wrong_password_is_refused_with_connack(peer):
    client = peer(link="websocket").send(connect("nonsense"))
    assert client.expect(CONNACK).reasons == (0x86,)
    assert client.next() is None


@pytest.mark.parametrize("protocols", ["chat, mqtt", "mqtt,chat", "chat", None])
def test_subprotocol(program, protocols):
    link = WebSocket(port_of(program), protocols)
    if protocols and "mqtt" in protocols.replace(" ", "").split(","):
        assert (link.status, link.headers["sec-websocket-protocol"]) == (101, "mqtt")
    else:
        assert 400 <= link.status < 500
    link.close()


def test_other_paths_do_not_upgrade(program):
    link = WebSocket(port_of(program), path="/data")
    assert link.status != 101
    link.close()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_paho(program, device, version):
    client = Client(port_of(program), device.token, "paho", version, transport="websockets", subscribe=["a"])
    try:
        assert not client.code.is_failure
        for qos in (0, 1, 2):
            client.publish("a", f"{version}, {qos}", qos)
            assert client.next() == ("a", f"{version}, {qos}".encode())
    finally:
        client.close()


def test_unmasked_frame_ends_the_connection(device, program):
    link = WebSocket(port_of(program))
    link.socket.sendall(b"\x82\x02\xc0\x00")
    found = link.receive_frame()
    assert found is None or found[0] == WebSocket.CLOSE
    link.close()


def test_http_on_the_same_port_goes_on(device, peer):
    client = peer(device.token, link="websocket")
    device.call("POST", "/data", {"variable": "n", "value": 3})
    assert device.values() == [3]
    client.nothing_more()


def test_browser_of_the_benchmark(program):
    server = Server(
        "decant", program.url, profile_token=program.profile_token, websocket_port=port_of(program),
        process=program.process,
    )  # fmt: skip
    token = server.fresh()
    assert mqtt.run(server, token, mqtt.Scene(1, 3, 90, is_websocket=True)) is not None
    assert program.call("GET", "/data?query=count", token=token) == 90
