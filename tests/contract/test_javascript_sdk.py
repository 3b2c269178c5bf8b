"""TagoIO's own JavaScript client and MQTT.js against the embedded mode, if node is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "js"


@pytest.fixture(scope="session")
def client():
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not on this machine: the JavaScript clients were not tried")
    if not all((HERE / "node_modules" / name).exists() for name in ("@tago-io", "mqtt")):
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE, capture_output=True, text=True, timeout=240, check=False
        )
        if done.returncode:
            pytest.skip(f"npm could not install the JavaScript clients: {done.stderr[-300:]}")
    return HERE


@pytest.mark.parametrize(
    ("file", "count"), [("sdk", 16), ("access", 3), ("profiles", 6), ("integration", 2), ("network", 4), ("mqtt", 16)]
)
def test_javascript_client(client, server, file, count):
    if server.is_cloud and file == "profiles":
        pytest.skip("the password of the first account is not known")
    if server.is_cloud and file == "mqtt":
        pytest.skip("IoT Core has the topics of a device below device/<id>/")
    environment = os.environ | {
        "TAGOIO_API": server.url,
        "PROFILE_TOKEN": server.profile_token,
        "TAGOIO_REQUEST_ATTEMPTS": "2",
    }
    if not server.is_cloud:
        environment |= {
            "DECANT_EMAIL": server.email,
            "DECANT_PASSWORD": server.password,
            "MQTT_URL": f"mqtt://127.0.0.1:{server.mqtt_port}",
            "MQTT_WEBSOCKET_URL": f"{server.url.replace('http:', 'ws:')}/mqtt",
        }
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", f"{file}.test.mjs"],
        cwd=client, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"pass {count - (server.is_cloud and file == 'sdk')}" in done.stdout
