"""Bodies of backups, restores and files."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib.schemas.bodies import Body

Address = Annotated[StrictStr, Field(min_length=1, max_length=1_000)]


class BackupIn(TypedDict, total=False):
    """POST /device/{id}/data/backup; other fields are ignored. The Python client sends null for what is not set."""

    file_address: Address | None
    headers: StrictBool | None


class ChunkBackupIn(BackupIn):
    """POST /device/{id}/chunk/backup and /chunk/copy."""

    chunk_id: StrictStr


class RestoreIn(TypedDict):
    """POST /device/{id}/data/restore."""

    file_address: Address


class UploadIn(TypedDict):
    """POST /files/url."""

    filename: Address
    size: Annotated[StrictInt, Field(ge=1)]


backup: Body[BackupIn] = Body(TypeAdapter(BackupIn), empty=BackupIn)
chunk_backup: Body[ChunkBackupIn] = Body(TypeAdapter(ChunkBackupIn))
restore: Body[RestoreIn] = Body(TypeAdapter(RestoreIn))
upload: Body[UploadIn] = Body(TypeAdapter(UploadIn))
delete: Body[list[str]] = Body(TypeAdapter(Annotated[list[Address], Field(max_length=100)]))
