"""Writes the points of a device into a file, a part at each step."""

from collections.abc import Iterator
from typing import Any

from chalicelib import errors
from chalicelib.codec import csvtext
from chalicelib.host import files as host
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.devices import files
from chalicelib.services.points import filters, scan, tables
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc

MAX_ROWS = 1_000_000
_PAGE = 1_000


def step(job: Doc, device: Doc) -> Doc:
    """Write the next part, or give the finished file its name. It reads the store and writes only the file.

    Args:
        job: with ``upload``, ``marks``, ``after`` (the order of the last point that was written), ``points`` and
            ``size``, as the last step returned it.
        device: whose points they are.

    Returns:
        The job after the step; its ``status`` is ``done`` if the file is complete.

    Raises:
        errors.BadRequest: too many points, or too large a file.

    Cost: a part is 5 MB, of some 50,000 points, which take half a second.
    """
    key = files.key_of(job["profile"], job["path"])
    if job["status"] == "written":
        host.current().complete(key, job["upload"], job["marks"])
        return {**job, "status": "done"}
    upload = job["upload"] or host.current().begin(key, job["id"])
    parts = [] if job["marks"] or not job["has_headers"] else [csvtext.header(has_ids=True)]
    points, size, after = job["points"], sum(map(len, parts)), job["after"]
    is_last = True
    for segment, indices in _runs(device, job):
        parts.append(tables.rows(segment, indices))
        points, size, after = points + len(indices), size + len(parts[-1]), [*segment.order(indices[-1])]
        if size >= host.PART_BYTES:
            is_last = False
            break
    content = "".join(parts).encode()
    total = job["size"] + len(content)
    if points > MAX_ROWS:
        raise errors.BadRequest(f"There are over {MAX_ROWS} points: read them with GET /data, or back up chunks")
    files.require_room(profile=job["profile"], path=job["path"], size=total)
    marks = [*job["marks"], host.current().put_part(key, upload, job["marks"], content)]
    done: dict[str, Any] = {"points": points, "size": total, "after": after, "marks": marks, "upload": upload}
    return {**job, **done, "status": "written" if is_last else "running"}


def _runs(device: Doc, job: Doc) -> Iterator[Run]:
    """Yield the points that are not written yet, the oldest first."""
    after = tuple(job["after"]) if job["after"] else None
    start_ms = job["start_ms"] if after is None else after[0]
    query = PointQuery(is_ascending=True, start_ms=start_ms, end_ms=job["end_ms"])
    for segment, indices in scan.walk(device, filters.of(device, query), is_ascending=True, first_page=_PAGE):
        left = indices if after is None else [index for index in indices if segment.order(index) > after]
        if left:
            yield segment, left
