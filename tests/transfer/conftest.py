import json
import os
import signal
import subprocess
import sys

import pytest

from tests.kit.proxy import Proxy
from tests.program import ROOT, Program, fresh_environment


class Site:
    """A server of its own, and devices on it."""

    def __init__(self, program):
        self.program = program

    @property
    def url(self):
        return self.program.url

    @property
    def token(self):
        return self.program.profile_token

    def call(self, method, path, body=None, token=None):
        return self.program.call(method, path, token or self.token, body)

    def device(self, **more):
        """Create a device; return its id and token."""
        made = self.call("POST", "/device", {"name": "device", **more})
        return made["device_id"], made["token"]

    def immutable(self, period="month", retention=36):
        return self.device(type="immutable", chunk_period=period, chunk_retention=retention)

    def points(self, device, **query):
        """Return all points of a device in rising order of time, without ids and what the server adds."""
        found = self.call("GET", f"/device/{device}/data?qty=10000&ordination=ascending")
        return [{name: field for name, field in point.items() if name not in ("id", "device")} for point in found]

    def count(self, device):
        return self.call("GET", f"/device/{device}/data?query=count")


@pytest.fixture(scope="package")
def program(tmp_path_factory):
    program = Program(tmp_path_factory.mktemp("server"))
    yield program
    program.stop()


@pytest.fixture(scope="package")
def site(program):
    return Site(program)


@pytest.fixture
def proxy(site):
    proxy = Proxy(site.url)
    yield proxy
    proxy.close()


class Command:
    """Runs ``python -m embedded import`` or ``export``, and keeps the process, so that a test can kill it."""

    def __init__(self, folder):
        self.folder, self.process = folder, None

    def __call__(self, command, *arguments, url, token, stdin=None, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "embedded", command, *map(str, arguments)], cwd=self.folder, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=fresh_environment() | {"PYTHONPATH": str(ROOT), "TAGOIO_API": url, "DECANT_TOKEN": token} | environment,
        )  # fmt: skip
        output, errors = self.process.communicate(stdin, timeout=120)
        return subprocess.CompletedProcess(arguments, self.process.returncode, output, errors.decode())

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)


@pytest.fixture
def run(tmp_path):
    return Command(tmp_path)


def ndjson(points):
    return "".join(json.dumps(point) + "\n" for point in points)


def some(count, **more):
    """Points a second apart."""
    return [
        {
            "variable": "t",
            "value": number,
            "group": "g",
            "time": f"2026-11-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z",
            **more,
        }
        for number in range(count)
    ]
