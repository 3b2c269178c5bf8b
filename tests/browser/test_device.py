"""The page of a device: its plot, points, map, inspector, tokens and parameters."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.program import ROOT

_INK = """async ([colour, isEnough]) => {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const count = ink(colour);
    if (isEnough === 'none' ? count === 0 : count > isEnough) return count;
    if (performance.now() > deadline) throw new Error(`${count} pixels of ${colour}`);
    await new Promise(requestAnimationFrame);
  }
  function ink(colour) {
  const canvas = document.querySelector('.plot canvas');
  if (!canvas) return 0;
  const name = getComputedStyle(document.documentElement).getPropertyValue(colour).trim();
  const wanted = [1, 3, 5].map((at) => parseInt(name.slice(at, at + 2), 16));
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] > 200 && wanted.every((part, index) => Math.abs(part - data[at + index]) < 12)) count++;
  return count;
  }
}"""
"""Wait until more pixels of the plot than a number have a colour of the styles, or none has it. Return how many."""


def _at(ago_s):
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat()


def _point(variable, value, ago_s=0, **more):
    return {"variable": variable, "value": value, "time": _at(ago_s), **more}


def _send(site, token, *points):
    assert site.call("POST", "/data", token, list(points)) == f"{len(points)} Data Added"


def _ink(page, more_than, colour="--plot-1"):
    page.evaluate(_INK, [colour, more_than])


def _value(page, variable):
    return page.get_by_label("Variables").get_by_role("button").filter(has_text=variable)


@pytest.fixture
def plotted(site, new_device, open_device):
    """A page with the plot of a device that has sent ten points, its id and its token."""
    device, token = new_device()
    _send(site, token, *(_point("temperature", 20 + number % 3, 60 + 60 * number, unit="C") for number in range(10)))
    page = open_device(device)
    _ink(page, 100)
    return page, device, token


class TestPlot:
    """The tab Live."""

    def test_point_sent_by_http_is_drawn_without_a_reload(self, site, new_device, open_device):
        device, token = new_device()
        page = open_device(device)
        expect(page.get_by_role("main")).to_contain_text("No point has arrived yet")
        _send(site, token, _point("temperature", 20, 300), _point("temperature", 22, 5))
        expect(_value(page, "temperature")).to_contain_text("22")
        _ink(page, 100)
        _send(site, token, _point("temperature", 41.5, unit="C"), _point("door", "open"))
        expect(_value(page, "temperature")).to_contain_text("41.5")
        expect(_value(page, "door")).to_contain_text("open")
        expect(_value(page, "door")).to_be_disabled()

    def test_several_variables_have_lines_that_can_be_hidden(self, site, plotted):
        page, _, token = plotted
        _send(site, token, _point("air", 1000, 300, unit="hPa"), _point("air", 1010, unit="hPa"))
        _ink(page, 100, "--plot-2")
        _value(page, "temperature").click()
        _ink(page, "none", "--plot-2")
        expect(_value(page, "temperature")).to_have_attribute("aria-pressed", "false")

    def test_dragging_zooms_and_a_range_goes_back(self, plotted):
        page, _, _ = plotted
        card = page.locator(".plot-card")
        box = page.locator(".plot .u-over").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=5)
        page.mouse.up()
        expect(page.get_by_role("button", name="15 min")).to_have_attribute("aria-pressed", "false")
        span_ms = int(card.get_attribute("data-to")) - int(card.get_attribute("data-from"))
        assert span_ms == pytest.approx(225_000, rel=0.05)
        _ink(page, 20)
        page.get_by_role("button", name="15 min").click()
        expect(page.get_by_role("button", name="15 min")).to_have_attribute("aria-pressed", "true")

    @pytest.mark.parametrize(
        ("name", "interval"),
        [("Hour", "minute"), ("Day", "5 minutes"), ("Week", "15 minutes"), ("Month", "hour"), ("Year", "day")],
    )
    def test_long_ranges_are_aggregated_in_the_browsers_time_zone(
        self, open_context, sign_in, site, new_device, name, interval
    ):
        device, token = new_device()
        _send(site, token, _point("t", 1, 7_200), _point("t", 3, 1_500), _point("t", 5, 10))
        page = open_context(timezone_id="Asia/Kolkata").new_page()
        sign_in(page, place=f"device/{device}/live")
        with page.expect_response(re.compile("query=aggregate")) as answered:
            page.get_by_role("button", name=name).click()
        expect(page.locator(".plot-card")).to_have_attribute("data-interval", interval)
        assert answered.value.ok
        assert "timezone=Asia%2FKolkata" in answered.value.url or "timezone=Asia%2FCalcutta" in answered.value.url
        page.get_by_label("Value of each interval").select_option("max")
        expect(page.locator(".plot-card")).to_contain_text("Maximum of each")

    def test_buttons_zoom_in_from_a_year_to_each_point(self, plotted):
        page, _, _ = plotted
        page.get_by_role("button", name="Hour").click()
        expect(page.locator(".plot-card")).to_have_attribute("data-interval", "minute")
        for _ in range(2):
            page.get_by_role("button", name="Zoom in").click()
        expect(page.locator(".plot-card")).to_have_attribute("data-interval", "")

    def test_range_without_points_leads_to_the_newest(self, site, new_device, open_device):
        device, token = new_device()
        _send(site, token, _point("t", 1, 90_000), _point("t", 2, 90_060))
        page = open_device(device)
        page.get_by_role("button", name="Show the newest").click()
        _ink(page, 20)


class TestFeed:
    """The stream of events, and what happens when it breaks."""

    def test_offline_and_back_misses_no_point(self, site, plotted, tolerated):
        tolerated += ["ERR_INTERNET_DISCONNECTED", "ERR_FAILED"]
        page, _, token = plotted
        page.context.set_offline(True)
        page.route("**/events?*", lambda route: route.abort())  # Chromium lets an open stream live
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator(".badge.feed.offline")).to_be_visible()
        _send(site, token, _point("temperature", 77))
        page.unroute("**/events?*")
        page.context.set_offline(False)
        expect(page.locator(".badge.feed.live")).to_be_visible()
        expect(_value(page, "temperature")).to_contain_text("77")

    def test_server_without_a_stream_is_polled(self, site, page, sign_in, new_device, tolerated):
        tolerated.append("status of 404")
        refusal = {"status": 404, "json": {"status": False, "message": "Route Not Found"}}
        page.route("**/events?*", lambda route: route.fulfill(**refusal))
        device, token = new_device()
        page.clock.install()
        sign_in(page, place=f"device/{device}/live")
        expect(page.locator(".badge.feed.polling")).to_be_visible()
        _send(site, token, _point("t", 8))
        page.clock.run_for(5_500)
        expect(_value(page, "t")).to_contain_text("8")

    def test_refusal_shows_why_and_ends(self, site, page, sign_in, new_device, tolerated):
        tolerated.append("status of 4")
        page.route("**/events?*", lambda route: route.fulfill(status=404, json={"status": False, "message": "None"}))
        refusal = {"status": False, "message": "Too many requests (Retry-After: 1)"}
        headers = {"Retry-After": "1", "X-Request-Id": "abc-7"}
        since = re.compile(r"/data\?start_date=[^&]*&qty=10000$")
        page.route(since, lambda route: route.fulfill(status=429, json=refusal, headers=headers))
        device, _ = new_device()
        sign_in(page, place=f"device/{device}/live")
        expect(page.get_by_role("alert")).to_contain_text("Too many requests (Retry-After: 1)Request abc-7")
        page.unroute(since)
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator(".badge.feed.polling")).to_be_visible()

    def test_hidden_tab_has_no_stream(self, page, sign_in, new_device):
        device, _ = new_device()
        sign_in(page, place=f"device/{device}/live")
        page.locator(".badge.feed.live").wait_for()
        with page.expect_event("requestfailed", lambda request: "/events" in request.url):
            page.evaluate(
                "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
                "document.dispatchEvent(new Event('visibilitychange'))"
            )
        with page.expect_request("**/events?*"):
            page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator(".badge.feed.live")).to_be_visible()

    def test_tab_that_is_left_closes_its_stream(self, page, sign_in, new_device):
        device, _ = new_device()
        sign_in(page, place=f"device/{device}/live")
        page.locator(".badge.feed.live").wait_for()
        with page.expect_event("requestfailed", lambda request: "/events" in request.url):
            page.get_by_role("navigation", name="Main").get_by_role("link", name="Devices").click()


class TestPoints:
    """The tab Points."""

    def _row(self, page, text):
        return page.get_by_role("row").filter(has_text=text)

    def test_edit_and_delete_a_point(self, site, new_device, open_device):
        device, token = new_device()
        _send(site, token, _point("t", 1, 20, unit="C"), _point("t", 2, 10, unit="C"), _point("note", "21", 5))
        page = open_device(device, "points")
        self._row(page, "1 C").get_by_role("button", name="Edit").click()
        page.get_by_label("Value").fill("17.25")
        page.get_by_label("Location").fill("48.5, 11.25")
        page.get_by_label("Metadata").fill('{"by": "hand"}')
        page.get_by_role("button", name="Save").click()
        expect(self._row(page, "17.25 C")).to_contain_text("48.5, 11.25")
        stored = site.call("GET", "/data?values=17.25", token)[0]
        assert stored["location"]["coordinates"] == [11.25, 48.5]
        assert stored["metadata"] == {"by": "hand"}
        self._row(page, "2 C").get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(self._row(page, "2 C")).to_have_count(0)
        assert sorted(str(point["value"]) for point in site.call("GET", "/data", token)) == ["17.25", "21"]

    def test_editing_the_unit_of_a_text_keeps_it_a_text(self, site, new_device, open_device):
        device, token = new_device()
        _send(site, token, _point("note", "21"))
        page = open_device(device, "points")
        self._row(page, "note").get_by_role("button", name="Edit").click()
        page.get_by_label("Unit").fill("pcs")
        page.get_by_role("button", name="Save").click()
        expect(self._row(page, "21 pcs")).to_be_visible()
        assert site.call("GET", "/data", token)[0]["value"] == "21"

    def test_new_points_appear_and_older_ones_on_demand(self, site, new_device, open_device):
        device, token = new_device()
        _send(site, token, *(_point("t", number, 1_000 - number) for number in range(230)))
        page = open_device(device, "points")
        rows = page.get_by_role("row")
        expect(rows).to_have_count(101)
        _send(site, token, _point("t", 9_999))
        expect(rows).to_have_count(102)
        page.get_by_role("button", name="Show 100 older").click()
        expect(rows).to_have_count(202)
        page.get_by_role("button", name="Show 100 older").click()
        expect(rows).to_have_count(232)
        expect(page.get_by_role("button", name="Show 100 older")).to_have_count(0)

    def test_points_of_one_variable(self, site, new_device, open_device):
        device, token = new_device()
        _send(site, token, _point("a", 1), _point("b", 2))
        page = open_device(device, "points")
        page.get_by_label("Variable").select_option("b")
        expect(page.get_by_role("row")).to_have_count(2)
        _send(site, token, _point("a", 3), _point("b", 4))
        expect(page.get_by_role("row")).to_have_count(3)

    def test_immutable_device_says_why_nothing_can_be_edited(self, site, new_device, open_device):
        device, token = new_device(type="immutable", chunk_period="month", chunk_retention=2)
        _send(site, token, _point("t", 1))
        page = open_device(device, "points")
        expect(page.get_by_role("main")).to_contain_text("This device is immutable")
        expect(page.get_by_role("button", name="Edit")).to_have_count(0)


class TestMap:
    """The tab Map."""

    def test_track_is_drawn_and_grows(self, site, new_device, open_device):
        device, token = new_device()
        track = [
            _point("p", number, 100 - number, location={"lat": 48 + number / 100, "lng": 11.5}) for number in range(20)
        ]
        _send(site, token, *track, _point("t", 1))
        page = open_device(device, "map")
        expect(page.locator(".map circle")).to_have_count(20)
        expect(page.get_by_role("main")).to_contain_text("20 locations among the newest 21 points")
        expect(page.locator(".map .scale text")).to_have_text(re.compile(r"^\d+ k?m$"))
        _send(site, token, _point("p", 21, location={"lat": 48.3, "lng": 11.6}))
        expect(page.get_by_text("Newest:").locator("..")).to_contain_text("48.3, 11.6")
        scale = page.locator(".map .scale text").text_content()
        page.locator(".map").focus()
        for _ in range(3):
            page.keyboard.press("+")
        expect(page.locator(".map .scale text")).not_to_have_text(scale)
        page.get_by_role("button", name="Show all").click()
        expect(page.locator(".map .scale text")).to_have_text(re.compile(r"km$"))

    def test_device_without_locations_says_how_to_send_one(self, site, new_device, open_device):
        device, token = new_device()
        _send(site, token, _point("t", 1))
        expect(open_device(device, "map").get_by_role("main")).to_contain_text('"lat"')


class TestInspector:
    """The tab Inspector."""

    def test_ignored_field_is_shown_as_it_happens(self, site, new_device, open_device):
        device, token = new_device()
        page = open_device(device, "inspector")
        expect(page.get_by_role("main")).to_contain_text("Nothing yet")
        _send(site, token, _point("t", 1, colour="<b>red</b>"))
        expect(page.get_by_label("Entries")).to_contain_text("colour")
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_label("Entries").get_by_role("listitem")).to_have_count(0)


class TestSend:
    """The form that sends a test point."""

    def test_point_is_sent_as_the_device_and_drawn(self, site, new_device, open_device):
        device, token = new_device()
        page = open_device(device)
        page.get_by_role("button", name="Send a test point").click()
        page.get_by_label("Variable").fill("Level")
        page.get_by_label("Value").fill("3.5")
        page.get_by_label("Unit").fill("m")
        page.get_by_label("Location").fill("48.1, 11.5")
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_text("1 Data Added")).to_be_visible()
        page.keyboard.press("Escape")
        expect(_value(page, "level")).to_contain_text("3.5 m")
        stored = site.call("GET", "/data", token)[0]
        assert (stored["value"], stored["location"]["coordinates"]) == (3.5, [11.5, 48.1])

    def test_refused_point_shows_why(self, new_device, open_device, tolerated):
        tolerated.append("status of 400")
        device, _ = new_device()
        page = open_device(device)
        page.get_by_role("button", name="Send a test point").click()
        page.get_by_label("Variable").fill("not allowed!")
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text(re.compile(r"variable.*Request \S+"))


class TestConnect:
    """The tab Connect: snippets and tokens."""

    def _snippet(self, page, name):
        page.get_by_role("button", name=name, exact=True).click()
        return page.get_by_label("Programs that send a point").locator("pre").text_content()

    @pytest.mark.parametrize(
        ("name", "command"), [("curl", ["bash", "-c"]), ("Python", [sys.executable, "-W", "ignore", "-c"])]
    )
    def test_snippet_sends_a_point(self, site, new_device, open_device, name, command):
        device, token = new_device()
        page = open_device(device, "connect")
        text = self._snippet(page, name)
        done = subprocess.run([*command, text], check=False, capture_output=True, text=True, timeout=30)
        assert "1 Data Added" in done.stdout, done.stderr
        assert site.call("GET", "/data", token)[0]["value"] == 21.5

    def test_snippet_of_javascript_sends_a_point(self, site, new_device, open_device):
        packages = ROOT / "tests" / "contract" / "js"
        if not (packages / "node_modules").exists():
            pytest.skip("the JavaScript SDK is not installed")
        device, token = new_device()
        text = self._snippet(open_device(device, "connect"), "JavaScript")
        done = subprocess.run(
            ["node", "-e", text], check=False, capture_output=True, text=True, timeout=30, cwd=packages
        )
        assert "1 Data Added" in done.stdout, done.stderr
        assert site.call("GET", "/data", token)[0]["value"] == 21.5

    def test_token_is_made_copied_shown_as_qr_code_and_deleted(self, site, new_device, open_device):
        device, _ = new_device()
        page = open_device(device, "connect")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="New token").click()
        page.get_by_label("Name").fill("Gateway")
        page.get_by_label("The device may").select_option("write")
        page.get_by_role("button", name="Create").click()
        row = page.get_by_role("row").filter(has_text="Gateway")
        token = row.locator(".token").text_content()
        row.get_by_role("button", name="Copy").click()
        expect(row.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == token
        row.get_by_role("button", name="QR code").click()
        expect(page.get_by_role("img", name="QR code of the token Gateway")).to_be_visible()
        page.get_by_role("button", name="Close").click()
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)
        assert site.call("POST", "/data", token, [_point("t", 1)]) == 401


class TestParams:
    """The tab Parameters."""

    def test_parameter_is_made_edited_and_deleted(self, site, new_device, open_device):
        device, token = new_device()
        page = open_device(device, "params")
        page.get_by_role("button", name="New parameter").click()
        page.get_by_label("Key").fill("interval")
        page.get_by_label("Value").fill("60")
        page.get_by_role("button", name="Save").click()
        row = page.get_by_role("row").filter(has_text="interval")
        expect(row).to_contain_text("not yet")
        row.get_by_role("button", name="Edit").click()
        page.get_by_label("Value").fill("300")
        page.get_by_role("button", name="Save").click()
        expect(row).to_contain_text("300")
        assert [(param["key"], param["value"]) for param in site.call("GET", "/device/params", token)] == [
            ("interval", "300")
        ]
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("main")).to_contain_text("There is none")
        assert site.call("GET", "/device/params", token) == []
