"""Serves the files of the console from memory, gzipped once, without a call of the app and without a commit."""

import asyncio
import gzip
from collections.abc import Mapping
from typing import Any

from chalicelib.host import log
from chalicelib.http import answers, site
from chalicelib.http.site import File
from embedded import compression
from embedded.events import Send

_LEVEL = 9
FILE_ROW = "/console/{name}"
"""The row of all files in the metrics, pages too."""


class Site:
    """The files as they were at the start. Those of a later build are known after the next one.

    Args:
        files: by path; empty if they are not built. Then the app answers, and says how to build them.
    """

    def __init__(self, files: Mapping[str, File] | None = None) -> None:
        self._files = site.files() if files is None else files
        self._gzipped: dict[str, bytes] = {}

    def row(self, scope: dict[str, Any]) -> str | None:
        """See gateway.Part."""
        return FILE_ROW if scope["path"] in self._files and scope["method"] in ("GET", "HEAD") else None

    async def answer(self, scope: dict[str, Any], _receive: Any, send: Send, request_id: str) -> int:
        """See gateway.Part."""
        path, method = scope["path"], scope["method"]
        sent = {name: value.decode("latin-1") for name, value in scope["headers"]}
        page = self._files[path].answer(sent.get(b"if-none-match", ""))
        headers = [(name.lower().encode(), value.encode()) for name, value in page.headers.items()]
        headers.append((answers.REQUEST_ID.lower().encode(), request_id.encode()))
        content = page.text.encode()
        if page.status == 200:  # 304 has no body, and so no length either
            if compression.accepts_gzip(sent.get(b"accept-encoding", "")):
                content = await self._gzip(path, content)
                headers.append((b"content-encoding", b"gzip"))
            headers.append((b"content-length", b"%d" % len(content)))
        log.answered(page.status, request_id=request_id, method=method, route=path)
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else content})
        return page.status

    async def _gzip(self, path: str, content: bytes) -> bytes:
        """Return the content of a file, compressed in a thread when it is asked for the first time."""
        if path not in self._gzipped:
            self._gzipped[path] = await asyncio.to_thread(gzip.compress, content, _LEVEL, mtime=0)
        return self._gzipped[path]
