"""Keeps the files of profiles in the S3 bucket of the stage."""

import io
from typing import Any

from chalicelib import errors, settings
from chalicelib.host import aws
from chalicelib.host.files import URL_S

_READ_S = 20.0
"""How long S3 may take to take or send a part."""
_CONFIG: dict[str, Any] = {
    "signature_version": "s3v4",  # an older one covers neither size nor region
    "s3": {"addressing_style": "virtual"},  # else addresses name us-east-1, which redirects, and breaks the signature
    "request_checksum_calculation": "when_required",  # S3 takes parts with a checksum only if all calls name its kind
}
_UNAVAILABLE = "The files are not available, try again"
_LOST = "The parts of the file are gone: begin the backup again"
_GONE = ("404", "NoSuchKey", "NoSuchUpload")


class Bucket:
    """See ``host.files.Files``. Addresses are signed with the credentials of the function, and end with them.

    The names of buckets are the same for all the world, so this one's ends with the account and the region. Each call
    says whose bucket it must be.
    """

    def __init__(self) -> None:
        self._client, sts = aws.client("s3", _READ_S, **_CONFIG), aws.client("sts")
        try:
            account = sts.get_caller_identity()["Account"]
        except aws.FAILURES as error:
            raise errors.Unavailable(_UNAVAILABLE) from error
        self._account, region = account, self._client.meta.region_name
        self._name = f"{settings.current().files_bucket}-{account}-{region}"

    def begin(self, key: str, job: str) -> str:
        """See Files."""
        return str(self._call("create_multipart_upload", Key=key, ContentType="text/csv; charset=utf-8")["UploadId"])

    def put_part(self, key: str, upload: str, marks: list[str], content: bytes) -> str:
        """See Files."""
        part = self._call("upload_part", Key=key, UploadId=upload, PartNumber=len(marks) + 1, Body=content)
        if part is None:
            raise errors.BadRequest(_LOST)
        return str(part["ETag"])

    def complete(self, key: str, upload: str, marks: list[str]) -> None:
        """See Files. If the parts are gone, but the file is there, they were completed before."""
        parts = [{"PartNumber": number, "ETag": mark} for number, mark in enumerate(marks, 1)]
        done = self._call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
        if done is None and self.size(key) is None:
            raise errors.BadRequest(_LOST)

    def abort(self, key: str, upload: str) -> None:
        """See Files."""
        self._call("abort_multipart_upload", Key=key, UploadId=upload)

    def size(self, key: str) -> int | None:
        """See Files."""
        found = self._call("head_object", Key=key)
        return found and int(found["ContentLength"])

    def read(self, key: str, offset: int, size: int) -> bytes:
        """See Files."""
        found = self._call("get_object", Key=key, Range=f"bytes={offset}-{offset + size - 1}")
        if found is None:
            raise errors.NotFound("File not found")
        try:
            content: bytes = found["Body"].read()
        except aws.FAILURES as error:
            raise errors.Unavailable(_UNAVAILABLE) from error
        return content

    def delete(self, key: str) -> None:
        """See Files."""
        self._call("delete_object", Key=key)

    def clear(self, profile: str) -> None:
        """See Files. Cost: two calls for 1,000 files."""
        while found := self._call("list_objects_v2", Prefix=f"{profile}/").get("Contents"):
            keys = [{"Key": file["Key"]} for file in found]
            if self._call("delete_objects", Delete={"Objects": keys, "Quiet": True}).get("Errors"):
                raise errors.Unavailable(_UNAVAILABLE)

    def download_url(self, key: str) -> str:
        """See Files."""
        name = key.rpartition("/")[2]
        return self._sign("get_object", Key=key, ResponseContentDisposition=f'attachment; filename="{name}"')

    def upload_url(self, key: str, size: int) -> str:
        """See Files. The size is a part of what is signed."""
        return self._sign("put_object", Key=key, ContentLength=size)

    def _sign(self, operation: str, **parameters: Any) -> str:
        wanted = {"Bucket": self._name, **parameters}
        return str(self._client.generate_presigned_url(operation, Params=wanted, ExpiresIn=URL_S))

    def _call(self, operation: str, **parameters: Any) -> Any:
        """Return an answer of S3; None: the file or the upload does not exist."""
        try:
            return getattr(self._client, operation)(Bucket=self._name, ExpectedBucketOwner=self._account, **parameters)
        except aws.FAILURES as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code")
            if code in _GONE:
                return None
            if code == "InvalidRange":  # there is nothing behind the offset
                return {"Body": io.BytesIO()}
            raise errors.Unavailable(_UNAVAILABLE) from error
