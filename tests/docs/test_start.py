"""The pages for people who begin: their commands and programs print what the pages say."""

import os
import subprocess
import sys

import pytest

from tests.contract.test_javascript_sdk import client  # noqa: F401 - a fixture
from tests.kit.pages import ROOT, assert_shown, examples, steps, text
from tests.program import fresh_environment


class Reader:
    """Somebody who follows a page, in a shell on the machine of a server."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        (folder / ".venv").symlink_to(ROOT / ".venv")
        self.environment = fresh_environment() | {
            "DEVICE_TOKEN": program.device_token,
            "PROFILE_TOKEN": program.profile_token,
            "TAGOIO_API": program.url,
            "DECANT_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        }

    def run(self, *command, folder=None):
        """Run a command; return what it printed. The ports of the page become those of this server."""
        here = [
            part.replace("http://127.0.0.1:8000", self.program.url).replace(
                "port=1883", f"port={self.program.mqtt_port}"
            )
            for part in command
        ]
        done = subprocess.run(
            here,
            env=self.environment,
            cwd=folder or self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.replace(self.program.url, "http://127.0.0.1:8000")

    def follow(self, page):
        """Run all commands of a page, and compare what they print."""
        for command, shown in steps(page):
            assert_shown(self.run("bash", "-c", command), shown)


@pytest.fixture
def reader(start, tmp_path):
    return Reader(start(), tmp_path)


def test_page_for_makers_of_devices_is_right(reader):
    page = text("start-device.md")
    before, after = page.split("## Send by MQTT")
    ((program, _),) = examples(after, "python")
    assert len(steps(before)) == 5 and len(steps(after)) == 1
    reader.follow(before)
    reader.run(sys.executable, "-c", program)
    reader.follow(after)


def test_page_for_operators_is_right(reader):
    page = text("start-operator.md")
    assert len(steps(page)) == 6
    reader.follow(page)
    assert (reader.folder / "elsewhere/decant.db").exists()


def test_page_for_programmers_is_right_in_python_and_http(reader):
    page = text("start-programmer.md")
    ((program, shown),) = examples(page, "python")
    assert_shown(reader.run(sys.executable, "-c", program), shown)
    assert len(steps(page)) == 2
    reader.follow(page)


def test_page_for_programmers_is_right_in_javascript(reader, client):  # noqa: F811
    page = text("start-programmer.md")
    ((before, _),) = examples(page, "python")
    reader.run(sys.executable, "-c", before)
    ((program, shown),) = examples(page, "javascript")
    assert_shown(reader.run("node", "--input-type=module", "-e", program, folder=client), shown)
