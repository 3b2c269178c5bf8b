"""Files of profiles for tests, and backups and restores that run to their end."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from chalicelib.codec import csvtext
from chalicelib.host import files as host
from chalicelib.host import jobs as queue
from chalicelib.services.devices import files, jobs
from embedded.files import Folder


class Asked:
    """Notes which devices were asked for."""

    def __init__(self):
        self.devices = []

    def __call__(self, device):
        self.devices.append(device)


@contextlib.contextmanager
def in_folder(directory: Path) -> Iterator[Folder]:
    """Keep files in a folder."""
    folder = Folder(directory)
    host.use(folder)
    queue.use(Asked())
    yield folder
    host.use(None)
    queue.use(None)


def finish(most=10_000):
    """Run all jobs to their end; return how many steps that took."""
    for steps in range(most):
        waiting = jobs.waiting()
        if not waiting:
            return steps
        for entity in waiting:
            jobs.keep(jobs.do(entity))
    raise AssertionError("a job does not end")


def put(folder, world, path, text):
    """Put a file, as the operator does."""
    key = files.key_of(world.profile, path)
    upload = folder.begin(key, "operator")
    folder.complete(key, upload, [folder.put_part(key, upload, [], text.encode())])


def get(world, path):
    """Return the text of a file."""
    key = files.key_of(world.profile, path)
    size = host.current().size(key) or 0
    return host.current().read(key, 0, size).decode()


def csv_of(*points):
    """Return points as CSV with a header."""
    return csvtext.header(has_ids=False) + csvtext.write(points, has_ids=False)


def job_of(world, path):
    """Return what the list of files says of the job of a file."""
    (found,) = [file for file in world.admin.get("/files").result["files"] if file["filename"] == path]
    return found["job"]
