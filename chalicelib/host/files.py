"""Where the files of profiles are: an S3 bucket on AWS, a folder in the embedded mode.

A key is ``<profile>/<path>``. A new file is written in parts and appears as a whole, instead of an existing one.
"""

from typing import Protocol

from chalicelib.host.slot import Slot

PART_BYTES = 5_250_000
"""The least size of a part that is not the last: S3 takes none below 5 MiB."""
URL_S = 3_600
"""For how many seconds an address can be used."""


class Files(Protocol):
    """Keeps files. Any call may raise ``errors.Unavailable``; the caller may then repeat it."""

    def begin(self, key: str, job: str) -> str:
        """Begin the new file of a job. Return a name for it until it is complete."""

    def put_part(self, key: str, upload: str, marks: list[str], content: bytes) -> str:
        """Write the part behind those with these marks. Return its mark. A part that is written again is replaced."""

    def complete(self, key: str, upload: str, marks: list[str]) -> None:
        """Give the parts the key. It is no error if that was done before."""

    def abort(self, key: str, upload: str) -> None:
        """Remove the parts of a file that is not complete. It is no error if there are none."""

    def size(self, key: str) -> int | None:
        """Return the size of a file in bytes; None: there is none."""

    def read(self, key: str, offset: int, size: int) -> bytes:
        """Return bytes of a file from ``offset`` on: fewer than ``size`` only at its end."""

    def delete(self, key: str) -> None:
        """Remove a file. It is no error if there is none."""

    def clear(self, profile: str) -> None:
        """Remove all files of a profile."""

    def download_url(self, key: str) -> str:
        """Return an address from which anybody who has it can get the file, for ``URL_S`` seconds."""

    def upload_url(self, key: str, size: int) -> str:
        """Return an address to which anybody who has it can PUT a file of exactly this size, for ``URL_S`` seconds.

        Raises:
            errors.BadRequest: files are put into the data folder instead.
        """


def _in_s3() -> Files:
    from chalicelib.host.bucket import Bucket

    return Bucket()


_slot = Slot(_in_s3)
current, use = _slot.current, _slot.use
