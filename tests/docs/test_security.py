"""docs/security.md names tests that exist, and every risk of OWASP's list."""

import ast
import re

import pytest

from tests.program import ROOT

PAGE = (ROOT / "docs/security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
RISKS = re.findall(r"^\| API(\d+) ([^|]+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda part: part)
def test_named_test_exists(path, name):
    tree = ast.parse((ROOT / path).read_text())
    assert name.startswith("test_") and name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_risk_has_an_answer_and_a_test():
    assert [int(number) for number, *_ in RISKS] == list(range(1, 11))
    for _, risk, answer, tests in RISKS:
        assert answer and re.fullmatch(r"`tests/[\w/]+\.py::\w+`( `tests/[\w/]+\.py::\w+`)*", tests), risk


def test_no_code_that_answers_requests_fetches_urls():
    """A mail server that the settings name is no URL of a client's. botocore is AWS's own client."""
    clients = ("urllib", "urllib.request", "http", "http.client", "requests", "httpx", "aiohttp", "urllib3", "socket")
    for path in {*(ROOT / "chalicelib").rglob("*.py")} - {ROOT / "chalicelib/host/outside.py"}:
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [node.module]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            assert not [name for name in names if name in clients], path
