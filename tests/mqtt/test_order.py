"""Points without a time that arrive within one millisecond are ordered by arrival, over MQTT and HTTP."""

import socket

import pytest

from tests.mqtt.test_broker import STORED, _connect, _text, numbered

ROUNDS = 10
ANSWERS = {0: b"\xd0\x00", 1: b"\x40\x02\x00", 2: b"\x50\x02\x00"}


def packet(first, body):
    return bytes((first, len(body))) + body


def are_in_order(device, number):
    """Check the five points of a round: the last one sent is the last value."""
    (last,) = device.points(query="last_value", variables="n")
    newest = [point["value"] for point in device.points(variables="n", qty=5)]
    return last["value"] == number + 5 and newest == [number + at for at in (5, 4, 3, 2, 1)]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_last_value_is_the_last_of_five_messages_sent_in_one_write(device, raw, qos):
    client = raw().send(_connect(device.token, "c"))
    assert client.read(4)[3] == 0
    for number in range(0, 5 * ROUNDS, 5):
        sent = b""
        for at in range(1, 6):
            packet_id = (number + at).to_bytes(2) if qos else b""
            sent += packet(0x30 | qos << 1, _text(STORED) + packet_id + numbered(number + at).encode())
        client.send(sent + (b"" if qos else b"\xc0\x00"))
        wanted = ANSWERS[0] if qos == 0 else b"".join(ANSWERS[qos] + bytes((number + at,)) for at in range(1, 6))
        assert client.read(len(wanted)) == wanted
        assert are_in_order(device, number)


def test_last_value_is_the_last_of_five_requests_sent_in_one_write(device):
    host, port = device.program.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client, client.makefile("rb") as answers:
        for number in range(0, 5 * ROUNDS, 5):
            client.sendall(b"".join(request(device, numbered(number + at)) for at in range(1, 6)))
            for _ in range(5):
                head = b"".join(iter(answers.readline, b"\r\n")).lower()
                assert head.startswith(b"http/1.1 200 ")
                answers.read(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            assert are_in_order(device, number)


def request(device, body):
    head = f"POST /data HTTP/1.1\r\nHost: x\r\nToken: {device.token}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
