"""What holds for every view: access for everyone, a fast first paint, and small files."""

import gzip
import json

import pytest

from tests.kit.axe import serious

VIEWS = ("devices", "connectors", "policies", "usage", "audit", "settings")
TABS = ("live", "points", "map", "inspector", "connect", "params", "settings")
FIRST_LOAD_BYTES, ALL_BYTES = 40_000, 120_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_serious(open_context, site, sign_in, new_device, scheme, width):
    device, token = new_device("Device of axe", tags=[{"key": "site", "value": "roof"}])
    place = {"location": {"lat": 48, "lng": 11}, "unit": "C"}
    for number in range(3):
        site.call(
            "POST", "/data", token, [{"variable": "t", "value": number, **place}, {"variable": "mode", "value": "on"}]
        )
    page = open_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    page.goto(f"{site.url}/console")
    page.get_by_label("Profile token").wait_for()
    found = {"sign-in": serious(page)}
    page.get_by_role("button", name="E-mail and password").click()
    found["sign-in by e-mail"] = serious(page)
    page.get_by_role("button", name="Profile token").click()
    sign_in(page)
    for view in [*VIEWS, *(f"device/{device}/{tab}" for tab in TABS)]:
        page.goto(f"{site.url}/console#/{view}")
        page.get_by_role("heading", level=1).wait_for()
        if view.startswith("device/"):
            page.locator("main :is(.card, .empty)").first.wait_for()
        found[view] = serious(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{view} is wider than the screen"
    for name in ("Send a test point", "New device"):
        if name == "New device":
            page.goto(f"{site.url}/console#/devices")
        page.get_by_role("button", name=name).click()
        found[name] = serious(page)
        page.keyboard.press("Escape")
    assert {view: problems for view, problems in found.items() if problems} == {}


def test_first_paint_comes_within_a_second(page, site, sign_in):
    sign_in(page, keep=True)
    page.reload()
    page.get_by_role("heading", name="Devices").wait_for()
    painted_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted_ms <= 1_000


def _sizes(built):
    """Return how many bytes each script, style and page of the console has in gzip."""
    files = [path for path in built.iterdir() if path.suffix in (".js", ".css", ".html")]
    return {path.name: len(gzip.compress(path.read_bytes(), 6, mtime=0)) for path in files}


def test_first_load_is_small(page, site, built):
    loaded = []
    page.on("response", lambda response: loaded.append(response.url))
    page.goto(f"{site.url}/console")
    page.get_by_label("Profile token").wait_for()
    sizes = _sizes(built)
    names = [url.rpartition("/")[2].partition("#")[0].replace("console", "index.html", 1) for url in loaded]
    total = sum(sizes.get(name, 0) for name in names)
    assert "index.html" in names
    assert 5_000 < total <= FIRST_LOAD_BYTES, json.dumps({name: sizes.get(name) for name in names})


def test_all_files_but_those_of_docs_are_small(built):
    sizes = {name: size for name, size in _sizes(built).items() if not name.startswith("docs")}
    assert len(sizes) > 5
    assert sum(sizes.values()) <= ALL_BYTES, json.dumps(sizes)
