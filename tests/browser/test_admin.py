"""Connectors and their parsers, access policies, usage, the audit log, and settings."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import EMAIL, PASSWORD
from tests.kit.axe import serious
from tests.kit.parsers import encoded, ready

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
ready()


def _source(page):
    return page.get_by_label("Source", exact=True).get_by_role("textbox")


def _name(request):
    return re.sub(r"\W", "_", request.node.name)


@pytest.fixture
def new_connector(site):
    """Return a function that makes a connector with a parser; it returns its id."""

    def do(source="payload = []", name="Soil sensor"):
        sent = {"name": name, "networks": ["00000000000000000000a001"], "payload_decoder": encoded(source)}
        return site.call("POST", "/integration/connector", site.profile_token, sent)["connector"]

    return do


class TestConnectors:
    def test_create_a_connector_and_write_its_parser(self, page, site, sign_in, request):
        name = _name(request)
        sign_in(page, place="connectors")
        page.get_by_role("button", name="New connector").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill(name)
        dialog.get_by_label("Custom HTTPS").check()
        dialog.get_by_role("button", name="Create").click()
        expect(page.get_by_role("heading", name=f"Parser of {name}")).to_be_visible()
        _source(page).fill("payload = [{ variable: 'a', value: 7 }]")
        expect(page.get_by_text("Not saved")).to_be_visible()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
        page.get_by_role("link", name="Connectors").last.click()
        page.get_by_role("link", name=f"Parser of {name}").click()
        expect(_source(page)).to_have_value("payload = [{ variable: 'a', value: 7 }]")

    def test_connector_without_a_network_says_what_is_missing(self, page, sign_in):
        sign_in(page, place="connectors")
        page.get_by_role("button", name="New connector").click()
        page.get_by_role("dialog").get_by_label("Name").fill("Lonely")
        page.get_by_role("dialog").get_by_role("button", name="Create").click()
        expect(page.get_by_role("alert")).to_contain_text("Choose the networks")

    def test_edit_and_delete_a_connector_with_a_hostile_name(self, page, sign_in, new_connector):
        new_connector(name=HOSTILE)
        sign_in(page, place="connectors")
        expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
        page.get_by_role("button", name=f"Edit {HOSTILE}").click()
        page.get_by_role("dialog").get_by_label("Description").fill("Renamed")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Renamed")).to_be_visible()
        page.get_by_role("button", name=f"Delete {HOSTILE}").click()
        expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("heading", name=HOSTILE)).to_have_count(0)

    def test_create_a_network_with_a_mask(self, page, site, sign_in, request):
        name = _name(request)
        sign_in(page, place="connectors/networks")
        page.get_by_role("button", name="New network").click()
        page.get_by_role("dialog").get_by_label("Name").fill(name)
        page.get_by_role("dialog").get_by_label("Mask").fill("FFFF")
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("heading", name=f"Parser of {name}")).to_be_visible()
        networks = site.call(
            "GET", f"/integration/network?filter[name]={name}&fields=serial_number", site.profile_token
        )
        assert networks[0]["serial_number"]["mask"] == "FFFF"

    def test_parser_of_the_catalogue_can_be_copied_but_not_changed(self, page, sign_in):
        sign_in(page, place="connectors")
        page.get_by_role("link", name="Parser of JSON object").click()
        page.get_by_text("Catalogue").wait_for()
        expect(page.get_by_role("button", name="Save")).to_have_count(0)
        page.get_by_role("button", name="Make a copy").click()
        expect(page.get_by_role("heading", name="Parser of JSON object (copy)")).to_be_visible()
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("heading", name="2 points")).to_be_visible()


class TestParser:
    def test_run_shows_points_and_log_and_stores_nothing(self, page, site, sign_in, new_device):
        device, token = new_device("With a parser")
        site.call("PUT", f"/device/{device}", site.profile_token, {"tags": [{"key": "site", "value": "north"}]})
        sign_in(page, place=f"parser/device/{device}")
        _source(page).fill(
            "console.log('got', payload.length)\npayload = [{variable: 'where', value: device.tags[0].value}]"
        )
        page.get_by_label("Sample").fill('{"a": 1}')
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("heading", name="1 point")).to_be_visible()
        expect(page.get_by_role("region", name="Points")).to_contain_text("north")
        expect(page.get_by_text("device: got 1")).to_be_visible()
        assert site.call("GET", "/data", token) == []

    def test_error_marks_its_line(self, page, sign_in, new_connector):
        sign_in(page, place=f"parser/connector/{new_connector()}")
        _source(page).fill("\n" * 40 + "null.value\n" + "\n" * 40)
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("alert")).to_contain_text("Error in line 41")
        expect(page.get_by_role("alert")).to_contain_text("Function Parse Error")
        expect(page.locator(".gutter .marked")).to_have_text("41")
        chosen = _source(page).evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")
        assert chosen == "null.value"
        expect(page.locator(".gutter .marked")).to_be_in_viewport()

    def test_saved_parser_of_a_device_parses_what_it_sends(self, page, site, sign_in, new_device):
        device, token = new_device("Saved parser")
        sign_in(page, place=f"parser/device/{device}")
        _source(page).fill("payload = [{variable: 'seen', value: payload.length}]")
        page.keyboard.press("Control+s")
        expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
        site.call("POST", "/data", token, [{"x": 1}, {"x": 2}])
        assert [point["value"] for point in site.call("GET", "/data", token)] == [2]
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_role("status").filter(has_text="Removed")).to_be_visible()
        assert site.call("GET", f"/device/{device}", site.profile_token)["payload_decoder"] is None

    def test_tab_indents_and_escape_lets_it_leave(self, page, sign_in, new_connector):
        sign_in(page, place=f"parser/connector/{new_connector('')}")
        area = _source(page)
        area.fill("")
        area.press("Tab")
        expect(area).to_have_value("  ")
        area.press("Escape")
        area.press("Tab")
        expect(area).not_to_be_focused()

    def test_sample_that_is_refused_shows_message_and_request(self, page, sign_in, new_connector, tolerated):
        tolerated.append("400")
        sign_in(page, place=f"parser/connector/{new_connector()}")
        page.get_by_label("Sample").fill("")
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("alert")).to_contain_text("The body is empty")
        expect(page.get_by_role("alert")).to_contain_text("Request ")


class TestPolicies:
    def test_policy_is_made_by_the_form_and_read_as_a_sentence(self, page, site, sign_in, request):
        name = _name(request)
        analysis = site.call("POST", "/analysis", site.profile_token, {"name": HOSTILE})["id"]
        sign_in(page, place="policies")
        page.get_by_role("button", name="New policy").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill(name)
        who = dialog.get_by_role("group", name="Who 1")
        who.get_by_label("Which").select_option("id")
        who.get_by_label("Id", exact=True).fill(analysis)
        what = dialog.get_by_role("group", name="Rule 1")
        what.get_by_label("see", exact=True).uncheck()
        what.get_by_label("Which").select_option("tag")
        what.get_by_label("Key of the tag").fill("a")
        what.get_by_label("Value of the tag").fill("b")
        sentence = f"The analysis “{HOSTILE}” may read data of devices with the tag a = b."
        expect(dialog.get_by_text(sentence)).to_be_visible()
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("article").filter(has_text=name).get_by_role("listitem")).to_have_text([sentence])
        made = site.call("GET", f"/am?filter[name]={name}", site.profile_token)[0]["id"]
        stored = site.call("GET", f"/am/{made}", site.profile_token)
        assert stored["targets"] == [["analysis", "id", analysis]]
        assert stored["permissions"] == [
            {"effect": "allow", "action": ["get_data"], "resource": ["device", "tag.key", "a", "tag.value", "b"]}
        ]

    def test_policy_is_edited_deactivated_and_deleted(self, page, site, sign_in, request):
        name = _name(request)
        rule = {"effect": "deny", "action": ["delete"], "resource": ["device"]}
        sent = {"name": name, "targets": [["run_user", "tag_match", "team"]], "permissions": [rule]}
        made = site.call("POST", "/am", site.profile_token, sent)["am_id"]
        sign_in(page, place="policies")
        article = page.get_by_role("article").filter(has_text=name)
        expect(article.get_by_role("listitem")).to_have_text("Run users with a tag team may not delete any device.")
        article.get_by_role("button", name=re.compile("^Deactivate")).click()
        expect(article.get_by_text("Not active")).to_be_visible()
        article.get_by_role("button", name=re.compile("^Edit")).click()
        page.get_by_role("dialog").get_by_role("group", name="Rule 1").get_by_label("Effect", exact=True).select_option(
            "allow"
        )
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        expect(article.get_by_role("listitem")).to_have_text("Run users with a tag team may delete all devices.")
        assert site.call("GET", f"/am/{made}", site.profile_token)["targets"] == sent["targets"]
        article.get_by_role("button", name=re.compile("^Delete")).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(article).to_have_count(0)


class TestUsageAndAudit:
    def test_usage_shows_what_came_in_and_the_plan(self, page, site, sign_in, new_device):
        _, token = new_device("Counted")
        site.call("POST", "/data", token, [{"variable": "a", "value": number} for number in range(7)])
        sign_in(page, place="usage")
        used = site.call("GET", "/profile/current/summary", site.profile_token)["limit_used"]["input"]
        month = page.get_by_role("region", name="This month")
        expect(month.locator(".quota").first).to_contain_text(f"{used:,}, no limit")
        expect(page.get_by_role("img", name=re.compile("Points that came in"))).to_be_visible()
        expect(page.get_by_role("region", name="Plan and limits")).to_contain_text("unlimited")

    def test_quota_is_a_bar_that_warns(self, page, site, sign_in):
        summary = site.call("GET", "/profile/current/summary", site.profile_token)
        summary["limit"] |= {"input": 100, "output": 100, "data_records": 100}
        summary["limit_used"] |= {"input": 25, "output": 90, "data_records": 100}
        summary["alerts"] = {"output": 90}
        page.route("**/summary", lambda route: route.fulfill(json={"status": True, "result": summary}))
        sign_in(page, place="usage")
        bars = page.get_by_role("meter")
        expect(bars).to_have_count(3)
        assert [bars.nth(index).get_attribute("aria-valuenow") for index in range(3)] == ["25", "90", "100"]
        expect(page.get_by_text("An alert was sent at 90 %")).to_be_visible()
        expect(page.get_by_text("refused with 402")).to_have_count(1)

    def test_audit_log_finds_who_changed_what(self, page, site, sign_in, new_device):
        device, _ = new_device("Audited")
        sign_in(page, place="audit")
        page.get_by_label("Find").fill(device)
        page.get_by_label("Find").press("Enter")
        expect(page.get_by_role("region", name="Events").get_by_role("row")).to_have_count(2)
        expect(page.get_by_role("cell", name="Create a device")).to_be_visible()
        page.get_by_label("What was changed").select_option("am")
        expect(page.get_by_text("No change of this week matches")).to_be_visible()
        page.get_by_label("Find").fill("")
        page.get_by_label("Find").press("Enter")
        page.get_by_label("What was changed").select_option("")
        page.get_by_label("The week until").fill("2020-01-31")
        expect(page.get_by_text("Nothing was changed in this week")).to_be_visible()

    def test_audit_log_needs_a_full_token_and_says_so(self, page, site, sign_in, tolerated):
        tolerated.append("401")
        body = {"name": "r", "permission": "read", "email": EMAIL, "password": PASSWORD}
        token = site.call("POST", "/profile/current/token", site.profile_token, body)["token"]
        sign_in(page, token=token, place="audit")
        expect(page.get_by_role("alert")).to_contain_text("Authorization Denied")
        expect(page.get_by_role("alert")).to_contain_text("Request ")


class TestSettings:
    def test_profile_is_renamed(self, page, site, sign_in):
        sign_in(page, place="settings")
        before = page.get_by_label("Name", exact=True).input_value()
        for name in (HOSTILE, before):
            page.get_by_label("Name", exact=True).fill(name)
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_role("banner")).to_contain_text(name)
        assert site.call("GET", "/profile/current", site.profile_token)["info"]["name"] == before

    def test_token_is_made_shown_once_and_deleted(self, page, site, sign_in, request):
        name = _name(request)
        sign_in(page, place="settings/tokens")
        page.get_by_role("button", name="New token").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill(name)
        dialog.get_by_label("Permission").select_option("full")
        dialog.get_by_label("Expires").select_option("1 day")
        expect(dialog.get_by_label("E-mail")).to_have_value(EMAIL)
        dialog.get_by_label("Password").fill(PASSWORD)
        dialog.get_by_role("button", name="Create").click()
        token = page.locator("code.token").inner_text()
        assert site.call("GET", "/info", token)["permission"] == "full"
        page.get_by_role("button", name="Close").click()
        row = page.get_by_role("row").filter(has_text=name)
        expect(row).to_contain_text("full")
        expect(page.locator("dialog")).to_have_count(0)  # closing takes a moment
        assert token not in page.content()
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)

    def test_wrong_password_makes_no_token(self, page, sign_in, tolerated):
        tolerated.append("401")
        sign_in(page, place="settings/tokens")
        page.get_by_role("button", name="New token").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("never")
        dialog.get_by_label("E-mail").fill("nobody@localhost")
        dialog.get_by_label("Password").fill("wrong password")
        dialog.get_by_role("button", name="Create").click()
        expect(dialog.get_by_role("alert")).to_be_visible()

    def test_service_authorization_is_made_and_deleted(self, page, site, sign_in, request):
        name = _name(request)
        sign_in(page, place="settings/services")
        page.get_by_role("button", name="New authorization").click()
        page.get_by_role("dialog").get_by_label("Name").fill(name)
        page.get_by_role("button", name="Create").click()
        assert page.locator("code.token").inner_text().startswith("at")
        page.get_by_role("button", name="Close").click()
        row = page.get_by_role("row").filter(has_text=name)
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)

    def test_team_and_account(self, page, site, sign_in):
        sign_in(page, place="settings/team")
        expect(page.get_by_text("Nobody shares the profile with you")).to_be_visible()
        page.get_by_role("link", name="Account", exact=True).click()
        expect(page.get_by_text(EMAIL)).to_be_visible()
        page.get_by_label("Time zone").fill("Europe/Berlin")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
        assert site.call("GET", "/account", site.profile_token)["timezone"] == "Europe/Berlin"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_views_are_for_everyone(open_context, site, sign_in, new_device, new_connector, scheme, width):
    device, token = new_device("Device of transfer")
    site.call("POST", "/data", token, [{"variable": "a", "value": 1}])
    connector = new_connector("null.x", name="Broken")
    rules = [{"effect": effect, "action": ["access"], "resource": ["device"]} for effect in ("allow", "deny")]
    site.call("POST", "/am", site.profile_token, {"name": "Everyone", "targets": [["analysis"]], "permissions": rules})
    page = open_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    sign_in(page)
    found = {}
    dialogs = {
        "connectors": "New connector", "connectors/networks": "New network", "policies": "New policy",
        "settings/tokens": "New token", "settings/team": "Invite", "settings/services": "New authorization",
    }  # fmt: skip
    places = [
        "usage",
        "audit",
        "settings/profile",
        "settings/account",
        f"parser/connector/{connector}",
        f"transfer/{device}",
    ]
    for place in [*dialogs, *places]:
        page.goto(f"{site.url}/console#/{place}")
        page.get_by_role("heading", level=1).wait_for()
        page.locator("main :is(.card, .empty, .editor, .drop)").first.wait_for()
        if place.startswith("parser"):
            page.get_by_role("button", name="Run").click()
            page.get_by_role("alert").wait_for()
        found[place] = serious(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{place} is wider than the screen"
        if place in dialogs:
            page.get_by_role("button", name=dialogs[place], exact=True).click()
            page.get_by_role("dialog").get_by_role("textbox").first.wait_for()
            found[dialogs[place]] = serious(page)
            page.keyboard.press("Escape")
    page.get_by_role("button", name="Export", exact=True).click()
    found["export"] = serious(page)
    assert {place: problems for place, problems in found.items() if problems} == {}
