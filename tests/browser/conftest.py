"""A real Chromium before a real server.

Each test has a browser of its own, as Playwright leaves an event loop in the thread that uses it.
"""

import os
import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

from chalicelib import store
from chalicelib.services.devices import devices
from embedded import operator
from tests.program import Program
from web import build

EMAIL, PASSWORD = "admin@localhost", "a password of tests"
DEADLINE_MS = 10_000
CROWD = 5_000


@pytest.fixture(scope="session")
def built():
    """The folder of the console, built of the sources as they are."""
    try:
        build.ensure()
    except build.Unavailable as reason:
        pytest.skip(f"the console cannot be built: {reason}")
    return build.CONSOLE


@pytest.fixture(scope="session")
def chromium():
    """The path of a Chromium of this machine."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium")
    return path


@pytest.fixture(scope="session")
def site(built, chromium, tmp_path_factory):
    """``python -m embedded`` with the console, as a Program. Tests share it: each makes the devices that it needs."""
    program = Program(tmp_path_factory.mktemp("site") / "data", DECANT_EMAIL=EMAIL, DECANT_PASSWORD=PASSWORD)
    yield program
    program.close()


@pytest.fixture
def browser(chromium):
    """A Chromium without any storage."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield started
        started.close()


@pytest.fixture
def tolerated():
    """Patterns of messages on the console that are no failure: a test that provokes an error adds to it."""
    return []


@pytest.fixture
def open_context(browser, tolerated):
    """Return a function that makes a browser context, with Playwright's options. No page in it may go wrong.

    After the test, it fails for each error on the console, each exception that nothing caught, each violation of the
    Content-Security-Policy and each request to another host.
    """
    contexts, problems = [], []

    def note(kind, text):
        if not any(re.search(pattern, text) for pattern in tolerated):
            problems.append(f"{kind}: {text}")

    def do(**options):
        context = browser.new_context(**options)
        context.set_default_timeout(DEADLINE_MS)
        context.on("console", lambda message: message.type == "error" and note("console", message.text))
        context.on("weberror", lambda error: note("exception", str(error.error)))
        context.on("request", lambda request: _is_foreign(request) and note("other host", request.url))
        contexts.append(context)
        return context

    yield do
    for context in contexts:
        context.close()
    assert problems == []


def _is_foreign(request):
    return not request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))


@pytest.fixture
def page(open_context):
    """An empty tab of a desktop."""
    return open_context(viewport={"width": 1280, "height": 800}).new_page()


@pytest.fixture
def sign_in(site):
    """Return a function that signs a page in with a profile token, and waits until the first view is there."""

    def do(page, token=None, keep=False, place="devices", program=site):
        page.goto(f"{program.url}/console#/{place}")
        page.get_by_label("Profile token").fill(token or program.profile_token)
        if keep:
            page.get_by_label("Stay signed in on this browser").check()
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="Sign out").wait_for()

    return do


@pytest.fixture
def new_device(site):
    """Return a function that makes a device; it returns its id and its token. Fields are those of POST /device."""

    def do(name="Greenhouse", **fields):
        created = site.call("POST", "/device", site.profile_token, {"name": name, **fields})
        return created["device_id"], created["token"]

    return do


@pytest.fixture
def open_device(page, sign_in):
    """Return a function that opens a tab of a device in a signed-in page, and waits for it to be live."""

    def do(device, tab="live"):
        sign_in(page, place=f"device/{device}/{tab}")
        page.locator(".badge.feed.live").wait_for()
        return page

    return do


@pytest.fixture(scope="session")
def crowd(built, chromium, tmp_path_factory):
    """A Program whose profile has 5,000 devices, put into its store."""
    directory = tmp_path_factory.mktemp("crowd") / "data"
    first = Program(directory)
    profile = first.call("GET", "/profile", first.profile_token)[0]["id"]
    first.stop()
    with operator.opened(directory, "NORMAL"):
        for number in range(CROWD):
            tags = [{"key": "site", "value": f"s{number % 50}"}]
            devices.create(profile=profile, sent={"name": f"Sensor {number:04}", "tags": tags})
    store.use(None)
    program = Program(directory)
    yield program
    program.close()


@pytest.fixture
def crowd_page(page, crowd, sign_in):
    """The list of the crowd's devices."""
    sign_in(page, program=crowd)
    return page
