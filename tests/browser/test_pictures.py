"""Takes the pictures of the documents. ``PICTURES=1`` writes them into docs/images; without it nothing is taken."""

import math
import os
import random
from datetime import UTC, datetime, timedelta

import pytest

from tests.program import ROOT, Program

IMAGES = ROOT / "docs" / "images"
pytestmark = pytest.mark.skipif(not os.environ.get("PICTURES"), reason="PICTURES=1 takes them")
_NAMES = (
    "Cold room 1",
    "Cold room 2",
    "Greenhouse north",
    "Greenhouse south",
    "Pump house",
    "River gauge",
    "Roof weather station",
)


@pytest.fixture(scope="module")
def farm(built, chromium, tmp_path_factory):
    """A Program with some devices, of which one has sent a day of points and one has driven around; and their ids."""
    program = Program(tmp_path_factory.mktemp("farm") / "data", DECANT_HTTP_PORT="8000")
    first = program.call("GET", "/device", program.profile_token)[0]["id"]
    program.call("DELETE", f"/device/{first}", program.profile_token)
    chance = random.Random(7)
    ids = {}
    for number, name in enumerate((*_NAMES, "Delivery van 7")):
        tags = [{"key": "site", "value": ("farm", "river")[number % 2]}]
        device = program.call("POST", "/device", program.profile_token, {"name": name, "tags": tags})
        ids[name] = device["device_id"]
        if name not in ("Cold room 2", "Greenhouse north"):
            _send(program, device["token"], [_reading("battery", 3.1 + chance.random(), "V", 0)])
        if name == "Greenhouse north":
            _send(program, device["token"], _day(chance))
        if name == "Delivery van 7":
            _send(program, device["token"], _drive(chance))
    yield program, ids
    program.close()


def _send(program, token, points):
    for start in range(0, len(points), 500):
        program.call("POST", "/data", token, points[start : start + 500])


def _reading(variable, value, unit, ago_s, **more):
    time = datetime.now(UTC) - timedelta(seconds=ago_s)
    return {"variable": variable, "value": round(value, 2), "unit": unit, "time": time.isoformat(), **more}


def _day(chance):
    points = []
    for ago_s in range(0, 86_400, 120):
        angle = ago_s / 86_400 * 2 * math.pi
        points.append(_reading("temperature", 21 + 4 * math.cos(angle) + chance.gauss(0, 0.15), "°C", ago_s))
        points.append(_reading("humidity", 62 - 12 * math.cos(angle) + chance.gauss(0, 0.5), "%", ago_s))
    return points


def _drive(chance):
    latitude, longitude, heading, points = 48.05, 11.4, 0.7, []
    for step in range(240, 0, -1):
        heading += chance.gauss(0, 0.2)
        latitude += 0.0012 * math.sin(heading)
        longitude += 0.0018 * math.cos(heading)
        place = {"lat": round(latitude, 5), "lng": round(longitude, 5)}
        points.append(_reading("speed", 45 + 15 * math.sin(step / 20), "km/h", step * 30, location=place))
    return points


_PICTURES = (
    ("device", "device/{Greenhouse north}/live", "light", "Day"),
    ("device-dark", "device/{Greenhouse north}/live", "dark", "Day"),
    ("devices", "devices", "light", None),
    ("map", "device/{Delivery van 7}/map", "light", None),
    ("connect", "device/{Greenhouse north}/connect", "light", None),
)
"""The name of each picture, what it shows, the colours, and which button to press."""


def test_pictures(farm, open_context, sign_in):
    program, ids = farm
    IMAGES.mkdir(exist_ok=True)
    for file, place, scheme, button in _PICTURES:
        page = open_context(viewport={"width": 1200, "height": 830}, color_scheme=scheme, locale="en-GB").new_page()
        sign_in(page, program=program, place=place.format_map(ids))
        if place == "devices":
            page.get_by_role("link", name="River gauge").wait_for()
        else:
            page.locator(".badge.feed.live").wait_for()
        if button:
            page.get_by_role("button", name=button, exact=True).click()
            page.locator(".plot-card[data-loading=false]").wait_for()
        page.mouse.move(0, 0)
        page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished))")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.screenshot(path=IMAGES / f"{file}.png")
