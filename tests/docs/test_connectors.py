"""docs/connectors has a page for each connector of the catalogue, and its example is what the parsers make."""

import base64
import json
import re
import shutil
import subprocess

import pytest

from chalicelib.services.devices import catalogue
from tests.kit.scripts import run
from tests.program import ROOT, fresh_environment

PAGES = {path.stem: path.read_text() for path in (ROOT / "docs/connectors").glob("*.md")}
EXAMPLES = {
    name: found.groups()
    for name, text in PAGES.items()
    if (
        found := re.search(
            r"^Body:\n\n```(\w+)\n(.*?)```\n\nPoints:\n\n```json\n(.*?)```", text, re.DOTALL | re.MULTILINE
        )
    )
}
INDEX = (ROOT / "docs/parsers.md").read_text()


def ids(text):
    return re.findall(r"`([0-9a-f]{24})`", text)


def test_each_connector_has_a_page_with_its_name_and_its_networks():
    named = {}
    for name, text in PAGES.items():
        connector, *networks = ids(text)
        doc = catalogue.CONNECTORS[connector]
        assert text.startswith(f"# {doc['name']}\n") and sorted(networks) == sorted(doc["networks"]), name
        assert f"[{doc['name']}](connectors/{name}.md)" in INDEX
        named[connector] = name
    assert set(named) == set(catalogue.CONNECTORS)
    assert set(EXAMPLES) == set(PAGES) - {"custom-https", "custom-mqtt"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_what_the_parsers_make(name):
    kind, body, points = EXAMPLES[name]
    connector, *networks = ids(PAGES[name])
    network = networks[-1]  # that of the page's example
    payload = json.loads(body) if kind == "json" else body
    for doc in (catalogue.NETWORKS[network], catalogue.CONNECTORS[connector]):
        if doc["payload_decoder"]:
            source = base64.b64decode(doc["payload_decoder"]).decode()
            payload = run(source, payload, has_serial="networks" not in doc).payload
    assert payload == json.loads(points)


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[name]):
        file, _, anchor = target.partition("#")
        page = ROOT / "docs/connectors" / file
        assert page.exists(), target
        headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}, target


def test_commands_of_the_pages_work(start, tmp_path):
    program = start()
    names = {"TAGOIO_API": program.url, "PROFILE_TOKEN": program.profile_token, "DEVICE_TOKEN": program.device_token}
    (tmp_path / "decoder.js").write_text("console.log('seen')")
    (tmp_path / "weather.csv").write_text("time,temperature (C)\n2026-01-01T00:00:00Z,21.5\n")
    shutil.copy(ROOT / "chalicelib/services/devices/decoders/ttn.js", tmp_path)

    def shell(command):
        """Start a command of a page, with the names that the answers so far have given."""
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=tmp_path, env=fresh_environment() | names, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def answer(command):
        done = json.loads(shell(command).communicate(timeout=60)[0])
        assert done["status"], (command, done)
        return done["result"]

    (edit, make, inspect, run, *own_network) = commands(INDEX)
    made = answer(make)
    names |= {"DEVICE_ID": made["device_id"], "DEVICE_TOKEN": made["token"]}
    with shell(inspect) as inspector:
        assert inspector.stdout.readline().startswith(":"), "it listens"
        answer(edit)
        (send,) = commands(PAGES["csv"])
        assert answer(send) == "1 Data Added"
        event = next(line for line in inspector.stdout if line.startswith("data:"))
        inspector.kill()
    assert '"title":"[Parser] Log"' in event and "device: seen" in event
    assert answer(run)["log"] == ["device: seen"]
    network, token, connector, device, data = own_network
    names["NETWORK"] = answer(network)["network"]
    names["NETWORK_TOKEN"] = answer(token)["token"]
    names["CONNECTOR"] = answer(connector)["connector"]
    assert answer(device)["device_id"] and answer(data) == "3 Data Added"


def commands(page):
    """Return the curl commands of a page."""
    blocks = re.findall(r"^ *```shell\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)
    return [f"curl {text}" for block in blocks for text in re.split(r"^ *curl ", block, flags=re.MULTILINE)[1:]]
