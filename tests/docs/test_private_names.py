"""The private names in docs/decisions.md: each exists in the pinned version, is used, and has a test."""

import ast
import importlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/decisions.md").read_text()
ROWS = re.findall(r"^\| (\w+) ([\d.]+) \| `([^`]+)` \| [^|]+ \| `([^`]+)` \|$", TEXT, re.MULTILINE)
LIBRARIES = sorted({row[:2] for row in ROWS})
SOURCES = [ROOT / "app.py"]
SOURCES += [path for part in ("chalicelib", "embedded", "deploy", "tests") for path in (ROOT / part).rglob("*.py")]


def exists(name):
    """Return whether a dotted name exists; attributes set on ``self`` count. After a colon: a text of the source."""
    path, _, text = name.partition(":")
    parts = path.split(".")
    owner, at = importlib.import_module(parts[0]), 1
    while at < len(parts) and inspect.ismodule(owner):
        try:
            owner = importlib.import_module(".".join(parts[: at + 1]))
        except ModuleNotFoundError:
            break
        at += 1
    for part in parts[at:-1]:
        owner = getattr(owner, part)
    if text or at == len(parts):
        return text in inspect.getsource(owner)
    return hasattr(owner, parts[-1]) or (inspect.isclass(owner) and parts[-1] in set_by_methods(owner))


def set_by_methods(owner):
    """Return the attributes that the class's methods set on ``self``."""
    return {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(owner)))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }


def test_every_row_is_read():
    table = TEXT.partition("Private names of libraries")[2].partition("\n## ")[0]
    assert len(ROWS) == table.count("\n|") - 2 > 20
    assert len({row[2] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("library", "pinned"), LIBRARIES)
def test_version_is_the_pinned_and_the_installed_one(library, pinned):
    assert version(library) == pinned
    found = {
        line
        for path in ROOT.glob("requirements*.txt")
        for line in re.findall(rf"^{library}==(\S+)", path.read_text(), re.MULTILINE)
    }
    assert found == {pinned}


@pytest.mark.parametrize("name", [row[2] for row in ROWS])
def test_name_exists_and_is_used(name):
    assert exists(name)
    last = re.split(r"[.:]", name)[-1]
    assert any(re.search(rf"\b{last}\b", path.read_text()) for path in SOURCES if path != Path(__file__))


@pytest.mark.parametrize("name", ["chalice.app._none", "chalice.app.RouteEntry.none", "chalice.cli:NO_SUCH_TEXT"])
def test_name_that_is_gone_is_noticed(name):
    assert not exists(name)


@pytest.mark.parametrize("path", sorted({row[3] for row in ROWS}))
def test_named_test_exists(path):
    assert (ROOT / path).is_file()
