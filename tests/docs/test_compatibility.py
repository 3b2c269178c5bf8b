"""docs/compatibility.md lists all routes that exist, and no others."""

import re
from pathlib import Path

import pytest

from app import app
from chalicelib import routes
from deploy import compatibility
from tests.kit.api import ROUTER, Api

TEXT = (Path(__file__).parents[2] / "docs/compatibility.md").read_text()
ROWS = re.findall(
    r"^\| `(GET|POST|PUT|DELETE) (/[^`]*)` \| (?:[^|]*\| )?(works|partly|not yet) \| (.*?) ?\|$", TEXT, re.MULTILINE
)
HERE = {(method, path) for path, methods in app.routes.items() for method in methods}
HERE.add(("GET", "/events"))  # a stream, which embedded/gateway.py serves itself


def test_page_is_what_the_route_table_says():
    assert compatibility.page(TEXT, routes.ALL) == TEXT, "run `make docs`"


def test_row_without_a_line_on_the_page_is_an_error():
    with pytest.raises(LookupError, match="GET /scratch"):
        compatibility.page(TEXT, [*routes.ALL, routes.ALL[0]._replace(path="/scratch")])


def test_every_endpoint_row_is_read():
    assert len(ROWS) == len(re.findall(r"^\| `[A-Z]+ /", TEXT, re.MULTILINE)) > 100
    assert len({row[:2] for row in ROWS}) == len(ROWS)


def test_what_works_is_exactly_what_is_routed():
    assert {(method, path) for method, path, state, _ in ROWS if state != "not yet"} == HERE


@pytest.mark.parametrize(("method", "path"), [row[:2] for row in ROWS if row[2] == "not yet"])
def test_what_is_not_yet_is_not_answered(sqlite, method, path):
    found = ROUTER.find(path)
    if found is not None:
        answer = Api()(method, path)
        assert answer.status in (401, 405)
        assert answer.status == 405 or (method, found[0]) in HERE


@pytest.mark.parametrize(("path", "note"), [(f"{row[0]} {row[1]}", row[3]) for row in ROWS if row[2] == "partly"])
def test_partly_says_what_is_missing(path, note):
    assert len(note) > 20, path
