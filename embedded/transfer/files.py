"""The files that make an import or export resumable, and the one that lists what was refused."""

import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from chalicelib.codec import csvtext
from embedded.terminal import printable


class State:
    """A JSON file that says how far the work is. A kill at any moment leaves the former or the new content.

    Args:
        path: of the file; None keeps nothing, as the work cannot be resumed.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self, **same: Any) -> dict[str, Any]:
        """Return what was kept; an empty dictionary if nothing was, or if it is of other work.

        Args:
            same: facts that the work must have had.

        Raises:
            ValueError: the file is not readable.
        """
        if self._path is None or not self._path.exists():
            return {}
        try:
            kept: dict[str, Any] = json.loads(self._path.read_bytes())
        except (OSError, ValueError) as error:
            raise ValueError(f"{self._path} cannot be read; delete it to begin anew: {error}") from None
        return kept if all(kept.get(name) == fact for name, fact in same.items()) else {}

    def write(self, **facts: Any) -> None:
        """Replace what is kept."""
        if self._path is not None:
            replace(self._path, json.dumps(facts).encode())

    def remove(self) -> None:
        """Keep nothing any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write a file, which only this user may read, so that a kill leaves the former or the new content."""
    new = path.with_name(f"{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        sync(file)
    new.replace(path)


def sync(file: IO[bytes]) -> None:
    """Write what is buffered to the disk."""
    file.flush()
    os.fsync(file.fileno())


class Problems:
    """Lists the lines that were refused, each with its reason, as CSV.

    Args:
        path: of the file, which exists only if a line was refused; None: the error output.
        size_bytes: up to where an earlier run wrote the file. What is behind that is dropped.
        count: how many lines it holds up to there.
    """

    def __init__(self, path: Path | None, size_bytes: int = 0, count: int = 0) -> None:
        self.path, self.count = path, count
        self.size_bytes = size_bytes
        """How large the file is."""
        self._file: IO[bytes] | None = None
        if path is not None and path.exists():
            if size_bytes:
                os.truncate(path, size_bytes)
            else:
                path.unlink()

    def add(self, *cells: object) -> None:
        """Add a line: where it was, and the reason."""
        self.count += 1
        if self.path is None:
            print(printable(": ".join(map(str, cells))), file=sys.stderr)
            return
        if self._file is None:
            self._file = self.path.open("ab")
        text = io.StringIO()
        csv.writer(text).writerow([csvtext.guarded(str(cell)) for cell in cells])
        self.size_bytes += self._file.write(text.getvalue().encode(errors="replace"))

    def flush(self) -> None:
        """Give to the system what was added."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def beside(path: Path, what: str) -> Path:
    """Return the path of a file that belongs to another one.

    >>> beside(Path("points.csv"), "errors.csv").name
    'points.csv.errors.csv'
    """
    return path.with_name(f"{path.name}.{what}")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise ValueError with the name of a file instead of OSError."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{error.filename or path}: {error.strerror}") from None
