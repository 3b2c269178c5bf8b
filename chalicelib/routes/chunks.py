"""/device/{id}/chunk: the chunks of an immutable device."""

from typing import Any

from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.services.points import chunks


def list_chunks(call: Call) -> Any:
    """List the chunks that hold points."""
    return chunks.list_all(device=call.device)


def delete(call: Call) -> Any:
    """Remove all points of a chunk."""
    chunk = call.path["chunk_id"]
    chunks.delete(device=call.device, chunk=chunk)
    return f"Chunk {chunk} deleted"


_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route(
        "GET", "/device/{device_id}/chunk", list_chunks, who=_WHO, grant="device/manage_chunks",
        rate="GET /device/:id/chunk",
        note="SDK. Only chunks that hold points are listed",
    ),
    Route(
        "DELETE", "/device/{device_id}/chunk/{chunk_id}", delete, who=_WHO, need="full",
        grant="device/manage_chunks", rate="DELETE /device/:id/chunk/:id",
        note="SDK",
    ),
)  # fmt: skip
