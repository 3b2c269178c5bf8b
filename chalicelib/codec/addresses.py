"""The addresses of files, with placeholders, and the paths that they become."""

import re
from collections.abc import Mapping

MAX_CHARS, MAX_NAME_CHARS = 400, 200
"""Of a path, and of each of its parts: file systems take names of 255 bytes, and a part file has more behind its."""
SUFFIX = ".csv"
_PLACEHOLDER = re.compile(r"\$[A-Z_]+\$")
_PART = re.compile(r"[A-Za-z0-9_@=+(),-](?:[A-Za-z0-9 ._@=+(),-]*[A-Za-z0-9_@=+(),-])?")


def path_of(address: str, values: Mapping[str, str]) -> str:
    """Return the path of a file: placeholders are replaced, a slash at the start goes, ``.csv`` is appended if missing.

    The parts of a path are letters, digits, spaces and ``._@=+(),-`` of ASCII. None begins or ends with a point or a
    space, so none leads out of the folder; and no folder ends with ``.csv``, so none has the path of a file.

    Args:
        address: as the client sent it.
        values: what the placeholders stand for, by their names without the dollar signs.

    Raises:
        ValueError: it breaks a rule; the text says which.

    >>> path_of("/device/$DEVICE$/all", {"DEVICE": "1"})
    'device/1/all.csv'
    """

    def value_of(found: re.Match[str]) -> str:
        value = values.get(found[0].strip("$"))
        if value is None:
            known = " ".join(f"${name}$" for name in values)
            raise ValueError(f"file_address has {found[0]}, which is not known here: use {known or 'no placeholder'}")
        return value

    path = _PLACEHOLDER.sub(value_of, address.strip()).removeprefix("/")
    path = path if path.lower().endswith(SUFFIX) else path + SUFFIX
    *folders, name = path.split("/")
    stem = name[: -len(SUFFIX)]
    if len(path) > MAX_CHARS:
        raise ValueError(f"file_address must have at most {MAX_CHARS} characters")
    if any(len(part) > MAX_NAME_CHARS for part in (*folders, name)):
        raise ValueError(f"file_address must have at most {MAX_NAME_CHARS} characters between two slashes")
    if not all(_PART.fullmatch(part) for part in (*folders, stem)):
        raise ValueError("file_address must be names between slashes, of ASCII letters, digits, spaces and ._@=+(),-")
    if any(folder.lower().endswith(SUFFIX) for folder in folders):
        raise ValueError("file_address must not have a folder that ends with .csv")
    return path
