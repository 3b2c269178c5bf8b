"""Files of profiles for tests, and backups and restores that run to their end."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend

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


BUCKET = "decant-files-123456789012-us-east-1"


@contextlib.contextmanager
def in_bucket():
    """Keep files in moto's S3; yield a client of it."""
    complete = S3Backend.complete_multipart_upload
    abort = S3Backend.abort_multipart_upload

    def complete_if_there(self, bucket_name, multipart_id, body):
        """Answer as S3 does, where moto fails: an upload that is complete or aborted does not exist."""
        if multipart_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        return complete(self, bucket_name, multipart_id, body)

    def abort_and_close(self, bucket_name, multipart_id):
        """Close the parts too, which moto leaves open."""
        found = self.get_bucket(bucket_name).multiparts.get(multipart_id)
        abort(self, bucket_name, multipart_id)
        found.dispose()

    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    host.use(None)
    queue.use(None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(S3Backend, "complete_multipart_upload", complete_if_there)
        patched.setattr(S3Backend, "abort_multipart_upload", abort_and_close)
        yield client
    host.use(None)
    queue.use(None)
    for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    client.delete_bucket(Bucket=BUCKET)


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
