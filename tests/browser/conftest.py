"""A real Chromium before a real server.

Each test has a browser of its own, as Playwright leaves an event loop in the thread that uses it.
"""

import os
import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.program import ROOT, Program

BUILT = ROOT / "chalicelib" / "console"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
EMAIL, PASSWORD = "admin@localhost", "a password of tests"
DEADLINE_MS = 10_000


@pytest.fixture(scope="session")
def built():
    """The folder of the built console."""
    if not (BUILT / "index.html").exists():
        pytest.skip("the console is not built")
    return BUILT


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
def open_context(browser, tolerated, site):
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
        context.on("request", lambda request: _is_foreign(request.url, site.url) and note("other host", request.url))
        context.route(re.compile(re.escape(site.url) + r"/console(/.*)?$"), _serve_built)
        context.route(re.compile(re.escape(site.url) + r"/events\?"), _with_query_token)
        contexts.append(context)
        return context

    yield do
    for context in contexts:
        context.close()
    assert problems == []


def _is_foreign(url, own):
    return not url.startswith((own + "/", "data:", "blob:"))


def _serve_built(route):
    name = route.request.url.partition("/console")[2].strip("/") or "index.html"
    route.fulfill(path=BUILT / name, headers={"Content-Security-Policy": CSP})


def _with_query_token(route):
    route.continue_(url=f"{route.request.url}&token={route.request.headers['token']}")


@pytest.fixture
def page(open_context):
    """An empty tab of a desktop."""
    return open_context(viewport={"width": 1280, "height": 800}).new_page()


@pytest.fixture
def sign_in(site):
    """Return a function that signs a page in with a profile token, and waits until the first view is there."""

    def do(page, token=None, keep=False, place="devices"):
        page.goto(f"{site.url}/console#/{place}")
        page.get_by_label("Profile token").fill(token or site.profile_token)
        if keep:
            page.get_by_label("Stay signed in on this browser").check()
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="Sign out").wait_for()

    return do
