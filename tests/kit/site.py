"""A small build of the console, in place of a real one."""

import pytest

from chalicelib.http import site

FILES = {
    "index.html": '<!doctype html><script type="module" src="console/index-Da7x2Pq1.js"></script>' + " " * 2_000,
    "docs.html": '<!doctype html><link rel="stylesheet" href="console/docs-_a-b9Zq0.css">',
    "index-Da7x2Pq1.js": 'import("./device-Bb_c-3d4.js");' * 100,
    "docs-_a-b9Zq0.css": "main{color:#000}",
    "icon-DmIX7_0P.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "licenses.txt": "preact: MIT – ©",
    "sources": "0" * 64,
}
"""The text of each file by name."""
SCRIPT = "/console/index-Da7x2Pq1.js"


def write(folder):
    """Write the files, as a build does."""
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "secret").write_text("no file of the console")
    return folder


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A built console."""
    monkeypatch.setattr(site, "FOLDER", write(tmp_path / "console"))


@pytest.fixture
def unbuilt(tmp_path, monkeypatch):
    """A console that is not built."""
    monkeypatch.setattr(site, "FOLDER", tmp_path / "nothing")
