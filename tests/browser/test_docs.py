"""The page about the API, in a browser: it shows the operations, and sends a request with a token typed in."""

import json
import time

import pytest
from playwright.sync_api import expect

from tests.kit import openapi

LONG_MS = 30_000


@pytest.fixture
def docs(page, site):
    """The page, once it shows the first operations."""
    page.goto(f"{site.url}/docs")
    page.locator(".opblock").first.wait_for(timeout=LONG_MS)
    return page


def operation(docs, key):
    """Find an operation by its tag, open it and return it."""
    method, _, path = key.partition(" ")
    tag = openapi.made()["paths"][path][method.lower()]["tags"][0]
    docs.get_by_placeholder("Filter by tag").fill(tag)
    found = docs.locator(f".opblock-{method.lower()}", has=docs.locator(f'[data-path="{path}"]'))
    found.locator(".opblock-summary-control").click()
    return found


def authorize(docs, kind, token):
    """Type in a token of a kind."""
    docs.get_by_role("button", name="Authorize", exact=True).click()
    form = docs.locator(".auth-container", has=docs.locator("h4 code", has_text=kind))
    form.locator("input").fill(token)
    form.get_by_role("button", name="Apply credentials").click()
    docs.locator(".close-modal").click()


def execute(found):
    """Send the request of an operation; return the answer that is shown."""
    found.get_by_role("button", name="Try it out").click()
    found.get_by_role("button", name="Execute").click()
    answer = found.locator(".live-responses-table .response").first
    answer.wait_for()
    return answer


def test_shows_every_operation_as_one_scrolls(docs):
    wanted = {shown["operationId"] for item in openapi.made()["paths"].values() for shown in item.values()}
    seen, deadline = set(), time.monotonic() + LONG_MS / 1000
    while len(seen) < len(wanted) and time.monotonic() < deadline:
        ids = docs.locator(".opblock").evaluate_all("blocks => blocks.map(block => block.id)")
        seen |= {name.split("-")[-1] for name in ids}
        docs.mouse.wheel(0, 600)
        docs.wait_for_timeout(20)
    assert seen == wanted


def test_shows_what_each_operation_needs(docs):
    shown = operation(docs, "GET /device/{device_id}/params")
    expect(shown).to_contain_text("List configuration parameters")
    expect(shown).to_contain_text("x-permission")
    expect(shown.locator(".response-col_status", has_text="429")).to_be_visible()


def test_request_with_a_token_typed_in(docs, site):
    authorize(docs, "profile", site.profile_token)
    with docs.expect_response(lambda response: response.url.endswith("/profile")) as answered:
        answer = execute(operation(docs, "GET /profile"))
    assert answered.value.request.headers["profile-token"] == site.profile_token
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    shown = json.loads(answer.locator(".highlight-code code").first.text_content())
    assert shown["status"] is True and shown["result"][0]["id"]


def test_point_that_is_sent_is_read_again(docs, site):
    authorize(docs, "device", site.device_token)
    found = operation(docs, "POST /data")
    found.get_by_role("button", name="Try it out").click()
    found.locator("textarea.body-param__text").fill('{"variable": "from_docs", "value": 21}')
    found.get_by_role("button", name="Execute").click()
    expect(found.locator(".live-responses-table .response").first).to_contain_text("1 Data Added")
    points = site.call("GET", "/data?variable=from_docs")
    assert [point["value"] for point in points] == [21]


def test_refused_request_shows_why(docs, tolerated):
    tolerated.append("401")
    answer = execute(operation(docs, "GET /profile"))
    expect(answer.locator(".response-col_status")).to_contain_text("401")
    expect(answer).to_contain_text("Authorization Denied")
