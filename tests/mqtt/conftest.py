import json
import urllib.error
import urllib.request

import pytest

from tests.mqtt.client import Client, Raw
from tests.mqtt.raw import Peer, Tcp, WebSocket
from tests.program import Program


@pytest.fixture(scope="package")
def program(tmp_path_factory):
    """The embedded mode, for all tests that do not stop it."""
    found = Program(tmp_path_factory.mktemp("mqtt") / "data")
    yield found
    found.close()


class Device:
    """A new device, with the calls that tests need."""

    def __init__(self, program, **fields):
        self.program = program
        made = self.admin("POST", "/device", {"name": "MQTT device", **fields})
        self.id, self.token = made["device_id"], made["token"]

    def call(self, method, path, body=None, token=None):
        request = urllib.request.Request(
            self.program.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Token": token or self.token, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)["result"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["message"]

    def admin(self, method, path, body=None):
        return self.call(method, path, body, self.program.profile_token)

    def points(self, **query):
        text = "&".join(f"{name}={value}" for name, value in {"qty": 1_000, **query}.items())
        return self.call("GET", f"/data?{text}")

    def values(self):
        return [one["value"] for one in self.points(ordination="ascending")]


@pytest.fixture
def device(program):
    return Device(program)


@pytest.fixture
def new_device(program):
    return lambda **fields: Device(program, **fields)


@pytest.fixture
def connect(program):
    opened = []

    def do(token, *args, port=None, **kwargs):
        opened.append(Client(port or program.mqtt_port, token, *args, **kwargs))
        return opened[-1]

    yield do
    for client in opened:
        client.close()


@pytest.fixture
def raw(program):
    opened = []

    def do(port=None):
        opened.append(Raw(port or program.mqtt_port))
        return opened[-1]

    yield do
    for one in opened:
        one.close()


@pytest.fixture
def peer(program):
    """Return a function that opens a connection for raw packets; with a token, it connects a client, too."""
    opened = []

    def do(token=None, client_id="c", version=5, *, link="tcp", to=None, **options):
        server = to or program
        made = WebSocket(int(server.url.rsplit(":", 1)[1])) if link == "websocket" else Tcp(server.mqtt_port)
        opened.append(made)
        found = Peer(made, version)
        if token is not None:
            answer = found.connect(token, client_id, **options)
            assert answer.reasons == (0,), answer
            found.welcome = answer
        return found

    yield do
    for one in opened:
        one.close()
