"""docs/connectors has a page for each connector of the catalogue, and its example is what the parsers make."""

import base64
import json
import re

import pytest

from chalicelib.services.devices import catalogue
from tests.kit.scripts import run
from tests.program import ROOT

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
