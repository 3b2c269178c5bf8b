"""The files of a profile: what backups wrote, and what is to be restored.

An entity for each says its size and what became of it. An entity without a file is one that is expected, or whose
backup is not complete; a file without an entity was put into the data folder.
"""

from typing import Any

from chalicelib import errors, store
from chalicelib.codec import addresses, times
from chalicelib.host import clock
from chalicelib.host import files as host
from chalicelib.store import Doc, Entity, names

MAX_FILE_BYTES = 200_000_000
MAX_TOTAL_BYTES = 1_000_000_000
"""How much the files of a profile may have together."""
MAX_FILES = 1_000


def path_or_raise(address: str, values: dict[str, str] | None = None) -> str:
    """Return the path of a file; see ``addresses.path_of``. Raises errors.BadRequest."""
    try:
        return addresses.path_of(address, values or {})
    except ValueError as error:
        raise errors.BadRequest.field("file_address", str(error)) from None


def key_of(profile: str, path: str) -> str:
    """Return the key of a file."""
    return f"{profile}/{path}"


def list_all(*, profile: str) -> dict[str, Any]:
    """Return the files of a profile in order of their paths.

    Returns:
        ``files`` with ``filename``, ``size`` in bytes (None: not there yet), ``last_modified`` and ``job``: what a
        backup or restore did last with it; and ``folders``, which are a part of the file names here, so none.
    """
    entities = store.current().list(names.files(profile), names.ANY)
    return {"files": [_show(entity.doc) for entity in entities], "folders": []}


def _show(doc: Doc) -> dict[str, Any]:
    return {
        "filename": doc["path"],
        "size": doc["size"],
        "last_modified": times.to_iso(doc["at_ms"]),
        "is_private": True,
        "job": doc["job"],
    }


def size_or_raise(*, profile: str, path: str) -> int:
    """Return the size of a file in bytes. Raises errors.NotFound. Cost: one call."""
    size = host.current().size(key_of(profile, path))
    if size is None:
        raise errors.NotFound(f"File {path} not found")
    return size


def download_url(*, profile: str, address: str) -> dict[str, Any]:
    """Return the address from which a file can be got, and until when.

    Raises:
        errors.NotFound: there is no such file.
    """
    path = path_or_raise(address)
    size_or_raise(profile=profile, path=path)
    return {"url": host.current().download_url(key_of(profile, path)), "expires_at": _expiry()}


def upload_url(*, profile: str, address: str, size: int) -> dict[str, Any]:
    """Return the address to which a file can be PUT, and until when.

    Args:
        profile: the profile.
        address: the path; a file that exists is replaced by the upload.
        size: in bytes, exactly.

    Raises:
        errors.BadRequest: the file, or all files together, would be too large; or files are put into the data folder.
    """
    path = path_or_raise(address)
    require_room(profile=profile, path=path, size=size)
    url = host.current().upload_url(key_of(profile, path), size)
    put(profile=profile, path=path, device="", size=size, job=None)
    return {"url": url, "method": "PUT", "filename": path, "expires_at": _expiry()}


def _expiry() -> str:
    return times.to_iso(clock.now_ms() + host.URL_S * 1000)


def require_room(*, profile: str, path: str, size: int) -> None:
    """Return if a file of this size may be there besides the others of its profile. Raises errors.BadRequest."""
    if size > MAX_FILE_BYTES:
        raise errors.BadRequest(f"A file must have at most {MAX_FILE_BYTES} bytes")
    others = [doc for doc in _docs(profile) if doc["path"] != path]
    if len(others) >= MAX_FILES:
        raise errors.BadRequest(f"The profile has {MAX_FILES} files: delete some")
    if sum(doc["size"] or 0 for doc in others) + size > MAX_TOTAL_BYTES:
        raise errors.BadRequest(f"The files of the profile would have over {MAX_TOTAL_BYTES} bytes: delete some")


def _docs(profile: str) -> list[Doc]:
    return [entity.doc for entity in store.current().list(names.files(profile), names.ANY)]


def put(*, profile: str, path: str, device: str, size: int | None, job: Doc | None) -> None:
    """Note what is known of a file. Cost: one write.

    Args:
        profile: whose it is.
        path: its path.
        device: the device whose points it holds; empty if it is not a backup.
        size: in bytes; None: it is not there yet.
        job: what a backup or restore did last with it.
    """
    doc = {"path": path, "device": device, "size": size, "at_ms": clock.now_ms(), "job": job}
    store.current().put(Entity(names.files(profile), path, doc))


def note_job(*, profile: str, path: str, job: Doc) -> None:
    """Note what a restore did with a file. Cost: one read and one write."""
    existing = store.current().get(names.files(profile), path)
    doc: Doc = existing.doc if existing else {"device": "", "size": host.current().size(key_of(profile, path))}
    put(profile=profile, path=path, device=doc["device"], size=doc["size"], job=job)


def delete(*, profile: str, addresses_: list[str]) -> int:
    """Remove files; return how many. It is no error if one does not exist. Cost: one call and one write each."""
    paths = [path_or_raise(address) for address in addresses_]
    for path in paths:
        _remove(profile, path)
    return len(paths)


def delete_of_device(*, profile: str, device: str) -> None:
    """Remove the backups of a device."""
    for doc in _docs(profile):
        if doc["device"] == device:
            _remove(profile, doc["path"])


def delete_all(*, profile: str) -> None:
    """Remove all files of a profile, also those that nobody told us of."""
    host.current().clear(profile)
    for doc in _docs(profile):
        store.current().delete(names.files(profile), [doc["path"]])


def _remove(profile: str, path: str) -> None:
    host.current().delete(key_of(profile, path))
    store.current().delete(names.files(profile), [path])
