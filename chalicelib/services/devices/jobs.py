"""Backups and restores of devices, which run in the background, one a device at a time.

A job is an entity from its beginning to its end. Each step is saved before the next one, under the version that it
began with, so a process that dies, or works on a job at the same time as another one, does no harm.
"""

import logging
import secrets
from typing import Any, NamedTuple

from chalicelib import errors, store
from chalicelib.codec import times
from chalicelib.host import clock, events, log
from chalicelib.host import files as host
from chalicelib.host import jobs as queue
from chalicelib.services.access import reach
from chalicelib.services.devices import exports, files, imports
from chalicelib.services.points import chunks, fullness, send
from chalicelib.services.usage import outputs, quotas
from chalicelib.store import ABSENT, Doc, Entity, names

_logger = logging.getLogger(__name__)

BILLED_IN = 10_000
"""A backup counts as output of so many points, or a multiple of it."""
FREE_RECORDS = 10_000
"""How many points more a profile must be allowed to have before a restore."""
REMINDED_MS = 3_600_000
"""After how long the work on a job is asked for again."""
GIVEN_UP_MS = 86_400_000
"""After how long a job that always fails is given up."""
_ENDED = ("done", "failed")
MOST_CLAIMED_S = 900.0
"""For how long a process may claim a job: a function of Lambda runs no longer."""
_FIRST: Doc = {"status": "scheduled", "points": 0, "size": 0, "claimed_until_ms": 0}
_OF_EXPORT: Doc = {"upload": "", "marks": [], "after": None}
_OF_IMPORT: Doc = {"offset": 0, "line": 0, "rows": 0, "columns": None, "refused": 0, "problems": []}


class Step(NamedTuple):
    """A part of a job that was done, but not saved."""

    entity: Entity
    """The job before it."""
    job: Doc
    """The job after it. ``status`` is scheduled, running, written, done or failed."""
    prepared: send.Prepared | None
    """Points that are to be stored."""


def schedule_backup(*, device: Doc, address: str | None, chunk: str | None, has_headers: bool) -> str:
    """Begin to write the points of a device, or of one of its chunks, into a file. Return the path.

    Raises:
        errors.BadRequest: the address breaks a rule, the files have no room, or a job of the device or of the file
            runs already.
        errors.NotFound: there is no such chunk.
        errors.PaymentRequired: the quota of the output is used up.

    Cost: a read, a query of all jobs and two writes; on AWS a call of a function more.
    """
    profile, device_id, now_ms = device["profile"], device["id"], clock.now_ms()
    values = {"DEVICE": device_id, "TIMESTAMP": str(now_ms), "ORGID": profile, "ENVIRONMENT": "production"}
    bounds: tuple[int | None, int | None] = (None, None)
    if chunk is not None:
        bounds = chunks.bounds_or_raise(device=device, chunk=chunk)
        days = [times.to_iso(bound)[:10] for bound in bounds if bound is not None]
        first, _, last = chunk.partition("_")
        values |= {"CHUNK": chunk, "FROM": days[0], "TO": days[1], "CHUNK_START": first, "CHUNK_END": last}
    default = "device/$DEVICE$/$TIMESTAMP$" if chunk is None else "device/$DEVICE$/$FROM$_$TO$"
    path = files.path_or_raise(address or default, values)
    quotas.check(profile=profile, services=("output",))
    files.require_room(profile=profile, path=path, size=0)
    own = {"kind": "backup", "start_ms": bounds[0], "end_ms": bounds[1], "has_headers": has_headers}
    _begin(device, {**_OF_EXPORT, **own, "path": path})
    return path


def schedule_restore(*, device: Doc, address: str, may_read_all: bool) -> str:
    """Begin to store the points of a file. Return its path.

    Args:
        device: the device.
        address: of the file.
        may_read_all: whether the caller may read every device of the profile. Else a restore would show it the backup
            of any, so it may take only files below ``device/<id>/`` of this device.

    Raises:
        errors.BadRequest: the address breaks a rule, the file is too large, a mutable device is full, a job of the
            device runs already, or a backup writes the file.
        errors.NotFound: there is no such file.
        errors.PaymentRequired: the profile may not have 10,000 points more.

    Cost: as ``schedule_backup``, and a call to look at the file.
    """
    profile, path, own = device["profile"], files.path_or_raise(address), f"device/{device['id']}/"
    if not may_read_all and not path.startswith(own):
        raise errors.BadRequest(f"An analysis can restore only files below {own}")
    size = files.size_or_raise(profile=profile, path=path)
    if size > files.MAX_FILE_BYTES:
        raise errors.BadRequest(f"A file must have at most {files.MAX_FILE_BYTES} bytes")
    quotas.require_free_records(profile=profile, records=FREE_RECORDS)
    if device["type"] != "immutable" and fullness.amount_of(device)[0] >= fullness.MAX_POINTS:
        raise fullness.refusal()
    _begin(device, {**_OF_IMPORT, "kind": "restore", "path": path, "size": size})
    return path


def _begin(device: Doc, own: Doc) -> None:
    now_ms = clock.now_ms()
    _check_file(device["profile"], own)
    shared = {"id": secrets.token_hex(12), "device": device["id"], "profile": device["profile"], "since_ms": now_ms}
    job = {**_FIRST, **shared, **own}
    lost = store.current().put_if(Entity(names.JOBS, names.device(device["id"]), job), version=ABSENT)
    if lost is not None:
        raise errors.BadRequest("A backup or restore of this device runs already: wait until it is done")
    _note(job)
    _ask(job)


def _check_file(profile: str, own: Doc) -> None:
    """Return if no other job writes the file, or reads it if this one writes. Raises errors.BadRequest."""
    for job in (entity.doc for entity in waiting()):
        is_same = (job["profile"], job["path"]) == (profile, own["path"])
        if is_same and "backup" in (job["kind"], own["kind"]):
            raise errors.BadRequest("A backup or restore uses this file already: wait until it is done")


def _ask(job: Doc) -> None:
    """Ask for work on a job. If nobody takes it, the housekeeping asks again."""
    try:
        queue.ask(device=job["device"])
    except errors.Unavailable as error:
        log.line("warning", job=job["id"], device=job["device"], not_asked=log.cause(error))


def remind() -> int:
    """Ask again for work on jobs that are not done after an hour; return how many. On AWS.

    Raises:
        errors.Unavailable: the store failed.
    """
    late = [entity.doc for entity in waiting() if clock.now_ms() - entity.doc["since_ms"] >= REMINDED_MS]
    for job in late:
        _ask(job)
    return len(late)


def _note(job: Doc) -> None:
    """Note at the file what becomes of it."""
    shown = {name: job[name] for name in ("id", "kind", "device", "status", "points")}
    shown |= {name: job[name] for name in ("refused", "problems", "message") if name in job}
    if job["kind"] == "restore":
        files.note_job(profile=job["profile"], path=job["path"], job=shown)
        return
    is_there = job["status"] == "done"
    size = job["size"] if is_there else host.current().size(files.key_of(job["profile"], job["path"]))
    files.put(profile=job["profile"], path=job["path"], device=job["device"], size=size, job=shown)


def waiting() -> list[Entity]:
    """Return all jobs, in order of the device's id."""
    return store.current().list(names.JOBS, names.DEVICES)


def of_device(device: str) -> Entity | None:
    """Return the job of a device; None: it has none."""
    return store.current().get(names.JOBS, names.device(device))


def claim(entity: Entity, *, until_ms: int) -> Entity | None:
    """Let this process alone work on a job, or end that. On AWS, where a message may be delivered twice.

    Args:
        entity: the job.
        until_ms: until when, in milliseconds since 1970; 0: the process that has claimed it ends that.

    Returns:
        The job as it is now; None: another process has claimed it, or changed it.
    """
    if until_ms and entity.doc["claimed_until_ms"] > clock.now_ms():
        return None
    claimed = entity._replace(doc={**entity.doc, "claimed_until_ms": until_ms}, version=entity.version + 1)
    return None if store.current().put_if(claimed, version=entity.version) else claimed


def do(entity: Entity) -> Step:
    """Do the next part of a job. It writes nothing into the store, so it can run in any thread; see ``keep``.

    Raises:
        errors.Unavailable: the store or the files failed; a retry repeats the part.
    """
    job = entity.doc
    if job["status"] in _ENDED:
        return Step(entity, job, None)
    try:
        device = reach.device_or_raise(profile=job["profile"], device=job["device"])
        if job["kind"] == "backup":
            return Step(entity, exports.step(job, device), None)
        return Step(entity, *imports.take(job, device))
    except errors.Unavailable:
        if clock.now_ms() - job["since_ms"] < GIVEN_UP_MS:
            raise
        return _failed(entity, "The store or the files failed for a day")
    except errors.ApiError as error:
        return _failed(entity, error.message)
    except Exception:  # whatever a file holds, it must not keep other jobs from their turn
        _logger.exception("A step of job %s failed", job["id"])
        return _failed(entity, "Internal error; the log holds the details")


def _failed(entity: Entity, message: str) -> Step:
    return Step(entity, {**entity.doc, "status": "failed", "message": message}, None)


def keep(step: Step) -> Entity | None:
    """Store the points of a step, and save the job.

    Returns:
        The job as it is now; None: it has ended, or another process works on it.

    On SQLite all is one unit. On DynamoDB the points come first: if the job is not saved, they are put again, which
    stores nothing twice.

    Cost: a read and a write, and with points those of ``send.put``.

    Raises:
        errors.Unavailable: the store failed; a retry repeats the part.
    """
    with store.current().unit():
        if step.prepared is not None:
            if _is_stale(step.entity):  # such as of a device that was erased meanwhile
                return None
            job = step.entity.doc
            try:  # the device may have been erased or changed since the points were prepared
                device = reach.device_or_raise(profile=job["profile"], device=job["device"])
                send.put(send.renewed(step.prepared, device=device))
            except errors.Unavailable:
                raise
            except errors.ApiError as error:
                step = _failed(step.entity, error.message)
        return _save(step)


def _is_stale(entity: Entity) -> bool:
    current = of_device(entity.doc["device"])
    return current is None or current.version != entity.version


def _save(step: Step) -> Entity | None:
    entity = step.entity._replace(doc=step.job, version=step.entity.version + 1)
    if store.current().put_if(entity, version=step.entity.version) is not None:
        _discard(step.job)
        return None
    if step.job["status"] not in _ENDED:
        return entity
    _end(step.job, is_first=step.entity.doc["status"] not in _ENDED)
    return None


def _discard(job: Doc) -> None:
    """Remove what a step wrote for a backup that was dropped meanwhile, as its device is erased."""
    if job["kind"] != "backup" or of_device(job["device"]) is not None:
        return
    key = files.key_of(job["profile"], job["path"])
    if job["upload"]:
        host.current().abort(key, job["upload"])
    if job["status"] == "done":
        host.current().delete(key)


def _end(job: Doc, *, is_first: bool) -> None:
    """Tell what became of a job, and remove it. If it was interrupted, it is repeated, but no output is counted."""
    profile, device, path = job["profile"], job["device"], job["path"]
    is_backup, is_done = job["kind"] == "backup", job["status"] == "done"
    if is_backup and not is_done and job["upload"]:
        host.current().abort(files.key_of(profile, path), job["upload"])
    _note(job)
    if is_backup and is_done and is_first:
        billed = max(1, -(-job["points"] // BILLED_IN)) * BILLED_IN
        quotas.note_output(profile=profile, device=device, points=billed)
        outputs.write()
    store.current().delete(names.JOBS, [names.device(device)])
    text = f"{path}: {job['points']} points" + (f", {job['refused']} lines refused" if job.get("refused") else "")
    events.current().seen(device, f"[{job['kind'].title()}] {job['status']}", job.get("message") or text)
    facts: dict[str, Any] = {"kind": job["kind"], "status": job["status"], "points": job["points"]}
    log.line("info" if is_done else "warning", job=job["id"], profile=profile, device=device, **facts)


def drop(*, device: str) -> None:
    """Remove the job of a device that is being erased, with the parts of its file."""
    entity = of_device(device)
    if entity is None:
        return
    if entity.doc.get("upload"):
        host.current().abort(files.key_of(entity.doc["profile"], entity.doc["path"]), entity.doc["upload"])
    store.current().delete(names.JOBS, [names.device(device)])
