"""Signing in and out, switching profiles, and sessions that end."""

import re
import time

import pyotp
from playwright.sync_api import expect

from tests.browser.conftest import EMAIL, PASSWORD

DENIED = "status of 401"


def _heading(page, name):
    return page.get_by_role("heading", name=name, exact=True)


def _log_in(page, site, email=EMAIL, password=PASSWORD):
    page.goto(f"{site.url}/console")
    page.get_by_role("button", name="E-mail and password").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def _profile(site, name):
    """Make a profile with a device; return the profile's id."""
    profile = site.call("POST", "/profile", site.profile_token, {"name": name})["id"]
    login = {"email": EMAIL, "password": PASSWORD, "profile_id": profile, "name": "test"}
    token = site.call("POST", "/account/profile/token", "", login)["token"]
    site.call("POST", "/device", token, {"name": f"Device of {name}"})
    return profile


def _token(site, **more):
    """Make another token of the first profile."""
    profile = site.call("GET", "/profile/current", site.profile_token)["info"]["id"]
    body = {"name": "test", "permission": "full", "email": EMAIL, "password": PASSWORD, **more}
    return profile, site.call("POST", f"/profile/{profile}/token", site.profile_token, body)["token"]


def test_sign_in_with_a_profile_token_shows_the_devices(page, sign_in):
    sign_in(page)
    expect(_heading(page, "Devices")).to_be_visible()


def test_sign_in_wrong_token_shows_the_message_and_the_request_id(page, site, tolerated):
    tolerated.append(DENIED)
    page.goto(f"{site.url}/console")
    page.get_by_label("Profile token").fill("p-00000000-0000-4000-8000-000000000000")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"has expired: Authorization Denied.*Request \S+"))


def test_sign_in_device_token_is_refused(page, site):
    page.goto(f"{site.url}/console")
    page.get_by_label("Profile token").fill(site.device_token)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This is no profile token")


def test_log_in_wrong_password_is_refused(page, site, tolerated):
    tolerated.append(DENIED)
    _log_in(page, site, email="nobody@localhost")
    expect(page.get_by_role("alert")).to_contain_text("Authorization Denied")


def test_log_in_then_choose_a_profile(page, site):
    _profile(site, "Vineyard")
    _log_in(page, site)
    page.get_by_label("Vineyard").first.check()
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("link", name="Device of Vineyard")).to_be_visible()


def test_sign_out_deletes_the_token_that_the_console_made(page, site):
    _profile(site, "Orchard")
    _log_in(page, site)
    page.get_by_label("Orchard").first.check()
    with page.expect_response(re.compile("/account/profile/token")) as made:
        page.get_by_role("button", name="Open").click()
    token = made.value.json()["result"]["token"]
    assert site.call("GET", "/info", token)["permission"] == "full"
    with page.expect_response(re.compile(r"/profile/\w+/token/")) as deleted:
        page.get_by_role("button", name="Sign out").click()
    assert deleted.value.status == 200
    expect(page.get_by_label("Profile token")).to_be_visible()
    assert site.call("GET", "/info", token) == 401


def test_session_is_forgotten_unless_it_is_kept(page, site, sign_in):
    sign_in(page)
    page.reload()
    expect(page.get_by_label("Profile token")).to_be_visible()
    sign_in(page, keep=True)
    page.reload()
    expect(_heading(page, "Devices")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.reload()
    expect(page.get_by_label("Profile token")).to_be_visible()


def test_session_ends_when_its_token_expires(page, site, sign_in, tolerated):
    tolerated.append(DENIED)
    _, token = _token(site, expire_time="3 seconds")
    sign_in(page, token)
    page.get_by_role("button", name="Refresh", disabled=False).wait_for()
    deadline_s = time.monotonic() + 10
    while site.call("GET", "/info", token) != 401:
        assert time.monotonic() < deadline_s
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("The token has expired or was deleted")


def test_session_ends_when_its_token_is_deleted(page, site, sign_in, tolerated):
    tolerated.append(DENIED)
    profile, token = _token(site)
    sign_in(page, token)
    page.get_by_role("button", name="Refresh", disabled=False).wait_for()
    site.call("DELETE", f"/profile/{profile}/token/{token}", site.profile_token)
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("The token has expired or was deleted")
    expect(page.get_by_label("Profile token")).to_be_visible()


def test_two_tabs_show_two_profiles(page, site, sign_in):
    _profile(site, "Harbour")
    sign_in(page, keep=True)
    other = page.context.new_page()
    other.goto(f"{site.url}/console")
    other.get_by_title("Switch to another profile").click()
    dialog = other.get_by_role("dialog")
    dialog.get_by_label("Profile").select_option("Harbour")
    assert dialog.get_by_label("E-mail").input_value() == EMAIL
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Switch").click()
    expect(other.get_by_role("link", name="Device of Harbour")).to_be_visible()
    for tab, is_shown in ((page, 0), (other, 1)):
        tab.reload()
        expect(_heading(tab, "Devices")).to_be_visible()
        expect(tab.get_by_label("Devices", exact=True).get_by_role("link").first).to_be_visible()
        expect(tab.get_by_role("link", name="Device of Harbour")).to_have_count(is_shown)


def test_log_in_asks_for_the_pin_of_an_authenticator(start, page, tolerated):
    tolerated.append(DENIED)
    guarded = start(DECANT_EMAIL=EMAIL, DECANT_PASSWORD=PASSWORD)
    credentials = {"email": EMAIL, "password": PASSWORD}
    profile = guarded.call("GET", "/profile", guarded.profile_token)[0]["id"]
    login = credentials | {"profile_id": profile, "name": "test"}
    token = guarded.call("POST", "/account/profile/token", "", login)["token"]
    uri = guarded.call("POST", "/account/otp/authenticator/enable", token, credentials)
    app = pyotp.parse_uri(uri)
    now = int(time.time())
    guarded.call("POST", "/account/otp/authenticator/confirm", token, {"pin_code": app.at(now - 30)})
    _log_in(page, guarded)
    expect(page.get_by_role("alert")).to_contain_text("Enter the pin")
    page.get_by_label("Pin of the authenticator app").fill(app.at(now))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(_heading(page, "Devices")).to_be_visible()
