"""Backups and restores of devices, and the files that they write and read."""

from typing import Any

from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import files as schema
from chalicelib.schemas.parameters import required
from chalicelib.services.devices import files, jobs


def back_up(call: Call) -> Any:
    """Write the points of a device into a file."""
    return _back_up(call, None)


def back_up_chunk(call: Call) -> Any:
    """Write the points of a chunk into a file."""
    chunk = call.body["chunk_id"]
    return {"chunk_id": chunk, **_back_up(call, chunk)}


def _back_up(call: Call, chunk: str | None) -> dict[str, Any]:
    path = jobs.schedule_backup(
        device=call.device,
        address=call.body.get("file_address"),
        chunk=chunk,
        has_headers=call.body.get("headers") is not False,
    )
    return {"file_address": path, "status": "scheduled"}


def restore(call: Call) -> Any:
    """Store the points of a file."""
    address, may_read_all = call.body["file_address"], call.caller.kind == PROFILE
    jobs.schedule_restore(device=call.device, address=address, may_read_all=may_read_all)
    return "Data import added to the queue successfully!"


def list_files(call: Call) -> Any:
    """List the files, and what became of backups and restores."""
    return files.list_all(profile=call.profile)


def download(call: Call) -> Any:
    """Return an address from which a file can be got for an hour."""
    return files.download_url(profile=call.profile, address=required(call.query, "path"))


def upload(call: Call) -> Any:
    """Return an address to which a file can be put for an hour."""
    return files.upload_url(profile=call.profile, address=call.body["filename"], size=call.body["size"])


def delete(call: Call) -> Any:
    """Remove files."""
    files.delete(profile=call.profile, addresses_=call.body)
    return "Successfully Removed"


_WHO = (PROFILE, ANALYSIS)
_NOTE = (
    "`$DEVICE$ $TIMESTAMP$ $ORGID$ $ENVIRONMENT$` stand for values{}; `.csv` is appended. At most 1,000,000 points and "
    "200 MB. `GET /files` shows what became of it"
)
_OF_CHUNK = _NOTE.format(", and `$CHUNK$ $FROM$ $TO$ $CHUNK_START$ $CHUNK_END$`")
ROUTES = (
    Route(
        "POST", "/device/{device_id}/data/backup", back_up, who=_WHO, need="write", body=schema.backup,
        grant="device/export_data", note=f"SDK. {_NOTE.format('')}",
    ),
    Route(
        "POST", "/device/{device_id}/data/restore", restore, who=_WHO, need="write", body=schema.restore,
        grant="device/import_data",
        note="SDK. At most 1,000,000 lines and 200 MB. Lines that are no points are counted and left out. "
        "An analysis can restore only files below `device/<id>/`, as any other may be of a device that it may not read",
    ),
    Route(
        "POST", "/device/{device_id}/chunk/backup", back_up_chunk, who=_WHO, need="write", body=schema.chunk_backup,
        grant="device/manage_chunks", rate="POST /device/:id/chunk/copy", note=f"SDK. {_OF_CHUNK}",
    ),
    Route(
        "POST", "/device/{device_id}/chunk/copy", back_up_chunk, who=_WHO, need="write", body=schema.chunk_backup,
        grant="device/manage_chunks", rate="POST /device/:id/chunk/copy", note="SDK. The same",
    ),
    Route("GET", "/files", list_files, note="partly: SDK. All files at once, with what became of backups and restores"),
    Route(
        "GET", "/files/url", download,
        note="Ours: `path` names the file, and the answer an address from which it can be got without a token",
    ),
    Route(
        "POST", "/files/url", upload, need="write", body=schema.upload, rate="POST /files",
        note="Ours, on AWS: `filename` and `size` in bytes; the answer is an address to PUT the file to. On one "
        "machine files are put into the data folder",
    ),
    Route(
        "DELETE", "/files", delete, need="write", body=schema.delete, rate="DELETE /files",
        note="SDK. The body is a list of paths",
    ),
)  # fmt: skip
