"""Keeps the files of profiles in the data folder, and sends them to clients.

A file is ``files/<profile>/<path>``. The operator may put files there. One that is being written has ``.part`` behind
its name.
"""

import asyncio
import contextlib
import hmac
import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from chalice.app import Response

from chalicelib import errors, settings
from chalicelib.host import clock, log, secret
from chalicelib.host.files import URL_S
from chalicelib.http import answers
from embedded import folder
from embedded.events import Receive, Send, until_gone

FILES = "files"
"""The folder below the data folder."""
PREFIX = "/file/"
"""How the path of an address begins from which a file can be got."""
_PART = ".part"
_LOST = "The parts of the file are gone: begin the backup again"
_PIECE_BYTES = 262_144


class Folder:
    """See ``host.files.Files``. Keys are those that ``addresses.path_of`` allows, so none leads out of the folder.

    Args:
        directory: the data folder.
    """

    def __init__(self, directory: Path) -> None:
        self._root = directory / FILES

    def begin(self, key: str, job: str) -> str:
        """See Files. A job that is killed and begins again uses the same name, so nothing is left over."""
        return f".{job}{_PART}"

    def put_part(self, key: str, upload: str, marks: list[str], content: bytes) -> str:
        """See Files. The mark is where the part ends. What an interrupted process has written behind it is cut off."""
        start, path = int(marks[-1]) if marks else 0, self._path(key + upload)
        self._require(key + upload, start)
        with _disk():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # a deletion removes folders that are empty
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            with open(descriptor, "wb") as part:
                part.truncate(start)
                part.seek(start)
                part.write(content)
                part.flush()
                os.fsync(part.fileno())
        return str(start + len(content))

    def complete(self, key: str, upload: str, marks: list[str]) -> None:
        """See Files."""
        part, path = self._path(key + upload), self._path(key)
        with _disk():
            if not part.exists() and path.exists():  # it was completed before
                return
            self._require(key + upload, int(marks[-1]))
            os.truncate(part, int(marks[-1]))
            part.rename(path)
            folder.sync_folder(path.parent)

    def _require(self, part: str, size: int) -> None:
        """Return if there are so many bytes of a part. After the operator's restore there may be none."""
        if size > (self.size(part) or 0):
            raise errors.BadRequest(_LOST)

    def abort(self, key: str, upload: str) -> None:
        """See Files."""
        self.delete(key + upload)

    def size(self, key: str) -> int | None:
        """See Files."""
        with _disk():
            path = self._path(key)
            return path.stat().st_size if path.is_file() else None

    def read(self, key: str, offset: int, size: int) -> bytes:
        """See Files."""
        try:
            with _disk(), self._path(key).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            raise errors.NotFound("File not found") from None

    def delete(self, key: str) -> None:
        """See Files. Folders that are empty then go, too."""
        path = self._path(key)
        with _disk():
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # one is not empty
                while path.parent != self._root:
                    path = path.parent
                    path.rmdir()

    def clear(self, profile: str) -> None:
        """See Files."""
        with _disk(), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._path(profile))

    def download_url(self, key: str) -> str:
        """See Files. The address is signed with the deployment's secret."""
        expires_s = clock.now_ms() // 1000 + URL_S
        base = settings.current().url.rstrip("/")
        return f"{base}{PREFIX}{quote(key)}?expires={expires_s}&signature={_signature(key, expires_s)}"

    def upload_url(self, key: str, size: int) -> str:
        """See Files."""
        raise errors.BadRequest(f"Put the file into the data folder of the server, as {FILES}/{key}")

    def _path(self, key: str) -> Path:
        return self._root / key

    def row(self, scope: dict[str, Any]) -> str | None:
        """See gateway.Part."""
        return PREFIX if scope["path"].startswith(PREFIX) and scope["method"] == "GET" else None

    async def answer(self, scope: dict[str, Any], receive: Receive, send: Send, request_id: str) -> Response | int:
        """Send the file that an address from ``download_url`` names; see gateway.Part."""
        key = _signed_key(scope["raw_path"].decode("latin-1"), scope["query_string"])
        is_sent = key is not None and await self._send(key, receive, send, request_id)
        log.answered(200 if is_sent else 404, request_id=request_id, method="GET", route=PREFIX)
        return 200 if is_sent else answers.failed("The address of the file is not valid, or not any more", 404)

    async def _send(self, key: str, receive: Receive, send: Send, request_id: str) -> bool:
        """Send a file; return False if there is none."""
        try:
            file = await asyncio.to_thread(self._path(key).open, "rb")
        except OSError:
            return False
        name = key.rpartition("/")[2].encode()
        headers = [
            (b"content-type", b"text/csv; charset=utf-8"),
            (b"content-disposition", b'attachment; filename="' + name + b'"'),
            (b"access-control-allow-origin", b"*"),
            (b"access-control-expose-headers", answers.REQUEST_ID.encode()),
            (answers.REQUEST_ID.lower().encode(), request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"private, no-store"),  # who has the address of a file may get it only for an hour
        ]
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            with file:
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                while not gone.done() and (piece := await asyncio.to_thread(file.read, _PIECE_BYTES)):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b""})
        return True


def _signed_key(path: str, query: bytes) -> str | None:
    """Return the key that an address from ``download_url`` names; None if the address is not valid now."""
    key = unquote(path.removeprefix(PREFIX))
    sent = {name: texts[0] for name, texts in parse_qs(query.decode("latin-1")).items()}
    expires = sent.get("expires", "")
    if not expires.isdecimal() or len(expires) > 12 or clock.now_ms() > int(expires) * 1000:
        return None
    signature = sent.get("signature", "").encode()
    return key if hmac.compare_digest(_signature(key, int(expires)).encode(), signature) else None


def _signature(key: str, expires_s: int) -> str:
    return hmac.new(secret.current(), f"file {expires_s} {key}".encode(), sha256).hexdigest()


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    """Raise errors.Unavailable if the disk fails, such as by being full."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise errors.Unavailable("The files are not available, try again") from error
