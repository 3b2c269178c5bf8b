"""Compresses answers for clients that accept gzip, as API Gateway does on AWS."""

import asyncio
import re
import zlib
from collections.abc import Iterable
from functools import lru_cache

_LEVEL = 1
_GZIP = 31
"""zlib's ``wbits`` for the gzip format."""
_LARGE_BYTES = 65_536
"""An answer of this size takes most of a millisecond, so it is compressed in a thread."""
_PART = re.compile(r"\s*([a-z0-9*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")


async def compress(
    content: bytes, sent: Iterable[tuple[bytes, bytes]]
) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """Return the body of an answer, compressed if the client accepts gzip, and the headers to add.

    Args:
        content: the body, long enough to be worth it: the answer has the header ``Vary``.
        sent: the request's headers.
    """
    accepted = next((text for name, text in sent if name == b"accept-encoding"), b"")
    if not accepts_gzip(accepted.decode("latin-1")):
        return content, ()
    if len(content) < _LARGE_BYTES:
        content = zlib.compress(content, _LEVEL, _GZIP)
    else:
        content = await asyncio.to_thread(zlib.compress, content, _LEVEL, _GZIP)
    return content, ((b"content-encoding", b"gzip"),)


@lru_cache(maxsize=256)
def accepts_gzip(accepted: str) -> bool:
    """Return whether a client accepts gzip, and likes it as well as no compression.

    >>> accepts_gzip("gzip, br"), accepts_gzip("*"), accepts_gzip("gzip;q=0, *"), accepts_gzip("gzip;q=0.5, identity")
    (True, True, False, False)
    """
    parts = [_PART.fullmatch(part) for part in accepted.lower().split(",")]
    quality = {part[1]: float(part[2] or 1) for part in parts if part}
    of_gzip = quality.get("gzip", quality.get("*", 0.0))
    return of_gzip > 0 and of_gzip >= quality.get("identity", 0.0)
