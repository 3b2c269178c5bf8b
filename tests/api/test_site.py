"""The pages for people, as API Gateway gets them: the console, the page about the API, and what leads there."""

import json

import pytest

from chalicelib import routes
from chalicelib.http import site
from tests.kit.api import Api
from tests.kit.site import FILES, SCRIPT, built, unbuilt

__all__ = ["built", "unbuilt"]
PAGES = {"/console": "index.html", "/docs": "docs.html"}
POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data: blob:",
    "connect-src": "'self'", "font-src": "'self'", "manifest-src": "'self'", "worker-src": "'self'",
    "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'", "object-src": "'none'",
}  # fmt: skip
TRUSTED_TYPES = {"require-trusted-types-for": "'script'", "trusted-types": "'none'"}


@pytest.fixture
def ask(sqlite):
    """Send a request without a token."""

    def do(path, **headers):
        return Api().get(path, headers={name.replace("_", "-"): text for name, text in headers.items()})

    return do


@pytest.mark.parametrize("path", sorted(PAGES))
def test_page_is_checked_each_time_and_sent_only_if_it_has_changed(ask, built, path):
    page = ask(path)
    assert page.status == 200 and page.text == FILES[PAGES[path]]
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache" and page.headers["x-request-id"] == "test"
    tag = page.headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        again = ask(path, if_none_match=known)
        assert (again.status, again.text, again.headers["etag"]) == (304, "", tag)
    assert ask(path, if_none_match='W/"other"').status == 200
    assert page.headers["etag"] != ask("/docs" if path == "/console" else "/console").headers["etag"]


@pytest.mark.parametrize(("path", "more"), [("/console", TRUSTED_TYPES), ("/docs", {})])
def test_page_may_load_only_what_the_policy_says(ask, built, path, more):
    policy = ask(path).headers["content-security-policy"]
    assert dict(part.split(" ", 1) for part in policy.split("; ")) == POLICY | more
    assert ask(path).headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".js", ".css", ".svg"))])
def test_file_with_its_digest_in_its_name_is_kept_for_a_year(ask, built, name):
    file = ask(f"/console/{name}")
    assert file.status == 200 and file.text == FILES[name]
    assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["cross-origin-resource-policy"] == "same-origin"
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert file.headers["content-type"] == f"{kinds[name.rpartition('.')[2]]}; charset=utf-8"


def test_licenses_are_text_that_is_asked_for_again(ask, built):
    file = ask("/console/licenses.txt")
    assert file.text == FILES["licenses.txt"] and file.headers["content-type"] == "text/plain; charset=utf-8"
    assert ask("/console/licenses.txt", if_none_match=file.headers["etag"]).status == 304


@pytest.mark.parametrize(
    "name", ["index.html", "docs.html", "sources", "secret", "..%2Fapp.py", "%2e%2e", ".", "none-12345678.js"]
)
def test_nothing_else_of_the_folder_can_be_read(ask, built, name):
    answer = ask(f"/console/{name}")
    assert answer.status == 404 and answer.message == "There is no such file"


@pytest.mark.parametrize("path", [*PAGES, SCRIPT])
def test_what_is_not_built_says_how_to_build_it(ask, unbuilt, path):
    answer = ask(path)
    assert answer.status == 404 and "python -m web.build" in answer.message


def test_half_a_build_is_none(ask, built):
    (site.FOLDER / "sources").unlink()
    assert ask("/console").status == 404


@pytest.mark.parametrize("path", sorted(PAGES))
def test_slash_at_the_end_leads_to_the_page_without_one(ask, built, path):
    answer = ask(f"{path}/")
    assert (answer.status, answer.headers["location"]) == (308, f"/api{path}")


ACCEPTED = [
    ("text/html,application/xhtml+xml,*/*;q=0.8", True), ("application/json, TEXT/HTML;q=0.9", True), ("*/*", False),
    ("text/*", False), ("application/json", False), ("text/htmlx", False), ("", False),
]  # fmt: skip


@pytest.mark.parametrize(("accepted", "is_browser"), ACCEPTED)
def test_root_leads_a_browser_to_the_console_and_tells_programs_where_things_are(ask, accepted, is_browser):
    answer = ask("/", accept=accepted)
    assert answer.headers["vary"] == "Accept" and answer.headers["x-request-id"] == "test"
    if is_browser:
        assert (answer.status, answer.headers["location"], answer.text) == (303, "/api/console", "")
        return
    assert answer.result["name"] == "Decant" and answer.result["version"]
    places = {name: answer.result[name] for name in ("console", "docs", "openapi", "status")}
    assert places == {
        "console": "/api/console", "docs": "/api/docs", "openapi": "/api/openapi.json", "status": "/api/status"
    }  # fmt: skip
    assert answer.headers["access-control-allow-origin"] == "*"


def test_pages_need_no_token_and_nothing_else_than_get_changes_that(ask):
    rows = [row for row in routes.ALL if row.path == "/" or row.path.startswith(("/console", "/docs"))]
    assert {(row.method, row.who) for row in rows} == {("GET", ())} and len(rows) == 4
    answer = Api().post("/console", {})
    assert answer.status == 405 and answer.headers["allow"] == "GET"


def test_answer_of_a_file_is_one_that_lambda_can_send(ask, built):
    assert json.loads(json.dumps(Api().raw("GET", SCRIPT)))["body"] == FILES[SCRIPT.rpartition("/")[2]]
