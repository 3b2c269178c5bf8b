"""TagoIO's own JavaScript client against the embedded mode over HTTP, if node is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "js"


@pytest.fixture(scope="session")
def client():
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not on this machine: the JavaScript client was not tried")
    if not (HERE / "node_modules" / "@tago-io").exists():
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE, capture_output=True, text=True, timeout=240, check=False
        )
        if done.returncode:
            pytest.skip(f"npm could not install the JavaScript client: {done.stderr[-300:]}")
    return HERE


@pytest.mark.parametrize(
    ("file", "count"), [("sdk", 15), ("access", 3), ("profiles", 6), ("integration", 2), ("network", 4)]
)
def test_javascript_client(client, server, file, count):
    if server.is_cloud and file == "profiles":
        pytest.skip("the password of the first account is not known")
    environment = os.environ | {
        "TAGOIO_API": server.url,
        "PROFILE_TOKEN": server.profile_token,
        "TAGOIO_REQUEST_ATTEMPTS": "2",
    }
    if not server.is_cloud:
        environment |= {"DECANT_EMAIL": server.email, "DECANT_PASSWORD": server.password}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", f"{file}.test.mjs"],
        cwd=client, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"pass {count - (server.is_cloud and file == 'sdk')}" in done.stdout
