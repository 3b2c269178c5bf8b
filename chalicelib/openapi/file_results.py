"""The shapes of files, and of the jobs that write and read them."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from chalicelib.openapi.results import Count, Time


class Backup(TypedDict):
    """A backup that was begun."""

    file_address: str
    status: str


class ChunkBackup(Backup):
    """A backup of a chunk that was begun."""

    chunk_id: str


class Job(TypedDict):
    """A backup or a restore, with how many points it has written or stored, and how many lines were no points."""

    id: str
    kind: Literal["backup", "restore"]
    device: str
    status: str
    points: Count
    refused: NotRequired[Count]
    problems: NotRequired[list[str]]
    message: NotRequired[str]


class File(TypedDict):
    """A file, and what became of the job that writes or reads it."""

    filename: str
    size: Count | None
    last_modified: Time
    is_private: bool
    job: Job | None


class Files(TypedDict):
    """The files of a profile."""

    files: list[File]
    folders: list[str]


class Download(TypedDict):
    """An address from which a file can be got without a token."""

    url: str
    expires_at: Time


class Upload(Download):
    """An address to which a file can be put."""

    method: str
    filename: str
