"""The list of devices, and making, changing and deleting one."""

import re

from playwright.sync_api import expect

HOSTILE = "<script>document.title='x'</script><img src=x onerror=alert(1)>"


def _row(page, name):
    return page.get_by_role("listitem").filter(has=page.get_by_role("link", name=name, exact=True))


def test_create_a_device_shows_its_token_and_the_next_step(page, site, sign_in):
    sign_in(page)
    page.get_by_role("button", name="New device").click()
    page.get_by_label("Name", exact=True).fill("Made by hand")
    page.get_by_label("Tags").fill("site: roof\nkind: rain")
    page.get_by_role("button", name="Create").click()
    token = page.locator("code.token").text_content()
    assert site.call("GET", "/info", token)["tags"] == [
        {"key": "site", "value": "roof"},
        {"key": "kind", "value": "rain"},
    ]
    expect(page.get_by_role("dialog")).to_contain_text(f"{site.url}/data")
    page.get_by_role("link", name="Watch it arrive").click()
    expect(page.get_by_role("heading", name="Made by hand")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("No point has arrived yet")


def test_create_a_device_with_a_short_name_shows_what_the_api_says(page, sign_in, tolerated):
    tolerated.append("status of 400")
    sign_in(page)
    page.get_by_role("button", name="New device").click()
    page.get_by_label("Name", exact=True).evaluate("(input) => input.removeAttribute('minlength')")
    page.get_by_label("Name", exact=True).fill("ab")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"name .*Request \S+"))


def test_immutable_device_is_made_with_its_retention(page, site, sign_in):
    sign_in(page)
    page.get_by_role("button", name="New device").click()
    page.get_by_label("Name", exact=True).fill("Immutable by hand")
    page.get_by_label("Storage").select_option("immutable")
    page.get_by_label("Period", exact=True).select_option("week")
    page.get_by_label("Periods to keep").fill("4")
    page.get_by_role("button", name="Create").click()
    device = site.call("GET", "/info", page.locator("code.token").text_content())
    assert (device["type"], device["chunk_period"], device["chunk_retention"]) == ("immutable", "week", 4)


def test_search_finds_by_name_and_by_tag(page, sign_in, new_device):
    new_device("Weather north", tags=[{"key": "site", "value": "hill"}])
    new_device("Weather south", tags=[{"key": "site", "value": "dale"}])
    sign_in(page)
    page.get_by_role("searchbox").fill("WEATHER nor")
    expect(_row(page, "Weather north")).to_be_visible()
    expect(_row(page, "Weather south")).to_have_count(0)
    page.get_by_role("searchbox").fill("weather")
    _row(page, "Weather south").get_by_role("button", name="site: dale").click()
    expect(_row(page, "Weather north")).to_have_count(0)
    page.get_by_role("searchbox").fill("nothing is called this")
    expect(page.get_by_role("main")).to_contain_text("No device fits")


def test_activity_is_seen_at_a_glance(page, site, sign_in, new_device):
    _, token = new_device("Busy one")
    device, _ = new_device("Off one")
    new_device("Silent one")
    site.call("POST", "/data", token, [{"variable": "t", "value": 1}])
    site.call("PUT", f"/device/{device}", site.profile_token, {"active": False})
    sign_in(page)
    for name, activity in (("Busy one", "live"), ("Off one", "off"), ("Silent one", "silent")):
        page.get_by_role("searchbox").fill(name)
        expect(_row(page, name).locator(f".dot.{activity}")).to_be_visible()
        page.get_by_label("Activity").select_option(activity)
        expect(_row(page, name)).to_be_visible()
        page.get_by_label("Activity").select_option("")


def test_edit_a_device(site, new_device, open_device):
    device, _ = new_device("Old name")
    page = open_device(device, "settings")
    page.get_by_label("Name", exact=True).fill("New name")
    page.get_by_label("Tags").fill("floor: 3")
    page.get_by_label("Active: it may send and read").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved")).to_be_visible()
    expect(page.get_by_role("heading", name="New name")).to_be_visible()
    expect(page.get_by_text("Deactivated")).to_be_visible()
    shown = site.call("GET", f"/device/{device}", site.profile_token)
    assert (shown["name"], shown["active"], shown["tags"]) == ("New name", False, [{"key": "floor", "value": "3"}])


def test_delete_a_device_asks_for_its_name(site, new_device, open_device):
    device, _ = new_device("Doomed")
    page = open_device(device, "settings")
    page.get_by_role("button", name="Delete the device").click()
    page.get_by_label("Type the device's name").fill("Other")
    page.get_by_role("button", name="Delete for ever").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was deleted")
    assert site.call("GET", f"/device/{device}", site.profile_token)["id"] == device
    page.get_by_label("Type the device's name").fill("Doomed")
    page.get_by_role("button", name="Delete for ever").click()
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()
    assert site.call("GET", f"/device/{device}", site.profile_token) == 404


def test_hostile_name_is_shown_as_text(page, sign_in, new_device):
    new_device(HOSTILE, tags=[{"key": HOSTILE, "value": HOSTILE}])
    sign_in(page)
    page.get_by_role("searchbox").fill("<script>")
    expect(page.get_by_role("link", name=HOSTILE, exact=True)).to_be_visible()
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert page.title() == "Device · Decant"
    assert page.locator("main img, main script").count() == 0


def test_unknown_device_says_so(page, sign_in, tolerated):
    tolerated.append("status of 404")
    sign_in(page, place="device/000000000000000000000000")
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"not found.*Request \S+", re.IGNORECASE))


def test_profile_without_devices_says_the_next_step(page, sign_in):
    page.route(re.compile(r"/device\?"), lambda route: route.fulfill(json={"status": True, "result": []}))
    sign_in(page)
    expect(page.get_by_role("main")).to_contain_text("There is no device yet")


def test_phone_reaches_every_view_by_the_menu(open_context, sign_in):
    page = open_context(viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True).new_page()
    sign_in(page)
    page.get_by_role("button", name="Menu").tap()
    page.get_by_role("link", name="Usage").tap()
    expect(page.get_by_role("heading", name="Usage")).to_be_visible()
    expect(page.get_by_role("link", name="Audit log")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_keyboard_alone_signs_in_and_opens_a_device(page, site, new_device):
    new_device("Aaa by keyboard")
    page.goto(f"{site.url}/console")
    page.get_by_label("Profile token").focus()
    page.keyboard.type(site.profile_token)
    page.keyboard.press("Enter")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("Aaa by")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Aaa by keyboard")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Aaa by keyboard")).to_be_visible()


class TestThousands:
    """Five thousand devices."""

    def test_only_those_in_sight_are_in_the_page(self, crowd_page):
        rows = crowd_page.get_by_label("Devices", exact=True).get_by_role("listitem")
        expect(rows.first).to_be_visible()
        assert rows.count() < 40
        assert rows.first.get_attribute("aria-setsize") == "5001"

    def test_search_and_scroll_show_their_rows_at_once(self, crowd_page):
        crowd_page.get_by_role("link", name="Sensor 0000").wait_for()
        crowd_page.locator(".rows").evaluate("(list) => (list.scrollTop = list.scrollHeight)")
        expect(crowd_page.get_by_role("link", name="Sensor 4999")).to_be_visible()
        crowd_page.get_by_role("searchbox").fill("sensor 2500")
        expect(crowd_page.get_by_role("link", name="Sensor 2500")).to_be_visible()
        lasted_ms = crowd_page.evaluate(_TYPE)
        assert lasted_ms < 100, f"a letter in the search took {lasted_ms:.0f} ms"

    def test_arrow_keys_go_beyond_what_is_drawn(self, crowd_page):
        crowd_page.get_by_role("link", name="Sensor 0000").focus()
        for _ in range(30):
            crowd_page.keyboard.press("ArrowDown")
            crowd_page.evaluate("new Promise(requestAnimationFrame)")
        expect(crowd_page.get_by_role("link", name="Sensor 0030")).to_be_focused()


_TYPE = """async () => {
  const field = document.querySelector('input[type=search]');
  const started = performance.now();
  field.value = 'site: s7';
  field.dispatchEvent(new Event('input', {bubbles: true}));
  await new Promise(requestAnimationFrame);
  return performance.now() - started;
}"""
