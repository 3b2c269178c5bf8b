"""Signing in and out."""

from playwright.sync_api import expect


def test_sign_in_with_a_profile_token_shows_the_devices(page, sign_in):
    sign_in(page)
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()
