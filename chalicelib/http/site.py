"""The files of the console and of the page about the API, with the headers that they are sent with.

``python -m web.build`` writes them into ``chalicelib/console``. The name of a script or style holds a digest of its
content, so browsers keep it for a year. A page is asked for again each time, and 304 says that it is the same.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from chalicelib import errors
from chalicelib.http.answers import Page

FOLDER = Path(__file__).parents[1] / "console"
MARK = "sources"
"""The file that a build writes last: a digest of what it was made of."""
CONSOLE, DOCS = "/console", "/docs"
"""The paths of the pages. Every other file is below ``CONSOLE``."""
_PAGES = {"index.html": CONSOLE, "docs.html": DOCS}
_TYPES = {
    ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain",
}  # fmt: skip
TYPES = tuple(_TYPES.values())
"""The content types of the files."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'"
)
_TRUSTED_TYPES = "; require-trusted-types-for 'script'; trusted-types 'none'"
"""No script of the console makes markup of text. The viewer of the API, which is not ours, does."""
POLICIES = {CONSOLE: _POLICY + _TRUSTED_TYPES, DOCS: _POLICY}
"""The Content-Security-Policy of each page: nothing inline, and no other host."""
_HASHED = re.compile(r".+-[\w-]{8}\.\w+")
_SAME = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin", "Vary": "Accept-Encoding"}


class File(NamedTuple):
    """A built file."""

    text: str
    headers: dict[str, str]

    def answer(self, if_none_match: str = "") -> Page:
        """Return the answer to a request: 304 without a text if the client has the file already.

        Args:
            if_none_match: the header of that name.
        """
        tag = self.headers.get("ETag")
        known = {text.strip() for text in if_none_match.split(",")}
        if tag is not None and known & {tag, tag.removeprefix("W/"), "*"}:
            return Page("", 304, self.headers)
        return Page(self.text, 200, self.headers)


def files() -> Mapping[str, File]:
    """Return all files by path, such as ``/console/index-Da7x2Pq1.js``. Empty if they are not built."""
    return _read(FOLDER) if (FOLDER / MARK).exists() else {}


def file_or_raise(path: str) -> File:
    """Return the file of a path.

    Raises:
        errors.NotFound: there is none, or they are not built.
    """
    found = files()
    if not found:
        raise errors.NotFound("The console is not built. This builds it: python -m web.build")
    if path not in found:
        raise errors.NotFound("There is no such file")
    return found[path]


@lru_cache(maxsize=1)
def _read(folder: Path) -> dict[str, File]:
    found = (path for path in folder.iterdir() if path.suffix in _TYPES)
    return {_PAGES.get(path.name, f"{CONSOLE}/{path.name}"): _file(path) for path in found}


def _file(path: Path) -> File:
    text = path.read_text()
    headers = {"Content-Type": f"{_TYPES[path.suffix]}; charset=utf-8", **_SAME}
    if _HASHED.fullmatch(path.name):
        return File(text, headers | {"Cache-Control": "public, max-age=31536000, immutable"})
    # A weak tag: it is the same for the text as it is and for the compressed one.
    headers |= {"Cache-Control": "no-cache", "ETag": f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'}
    if path.name in _PAGES:
        headers |= {"Content-Security-Policy": POLICIES[_PAGES[path.name]], "Referrer-Policy": "no-referrer"}
    return File(text, headers)
