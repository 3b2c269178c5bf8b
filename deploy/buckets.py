"""The S3 bucket of the files of backups and restores."""

from typing import Any

from deploy import spec
from deploy.parts import Cloud, Part, State, absent_is_none

CLOSED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
"""Nothing in the bucket is public. Clients get signed addresses."""
LIFECYCLE: list[State] = [
    {
        "ID": "parts",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": spec.LEFT_PARTS_DAYS},
    }
]
CORS: list[State] = [
    {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"], "MaxAgeSeconds": 3_600}
]
"""A page of any origin may use a signed address, as it may use the API."""
_AT_ONCE = 1_000


def bucket(cloud: Cloud) -> Part:
    """The bucket. S3 encrypts what is in it with its own key, which costs nothing."""
    client, name = cloud.client("s3"), cloud.names.bucket(cloud.account, cloud.region)
    owner: State = {"Bucket": name, "ExpectedBucketOwner": cloud.account}
    wanted: State = {"closed": CLOSED, "lifecycle": LIFECYCLE, "cors": CORS}

    def look() -> State | None:
        if absent_is_none(lambda: dict(client.head_bucket(**owner))) is None:
            return None
        closed = absent_is_none(lambda: dict(client.get_public_access_block(**owner)))
        lifecycle = absent_is_none(lambda: dict(client.get_bucket_lifecycle_configuration(**owner)))
        cors = absent_is_none(lambda: dict(client.get_bucket_cors(**owner)))
        return {
            "closed": (closed or {}).get("PublicAccessBlockConfiguration"),
            "lifecycle": (lifecycle or {}).get("Rules"),
            "cors": (cors or {}).get("CORSRules"),
        }

    def make() -> None:
        # S3 refuses to be told the region us-east-1.
        place = {"CreateBucketConfiguration": {"LocationConstraint": cloud.region}}
        client.create_bucket(Bucket=name, **({} if cloud.region == "us-east-1" else place))
        mend({})

    def mend(_: State) -> None:
        client.put_public_access_block(PublicAccessBlockConfiguration=CLOSED, **owner)
        client.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": LIFECYCLE}, **owner)
        client.put_bucket_cors(CORSConfiguration={"CORSRules": CORS}, **owner)

    def drop() -> None:
        _empty(client, owner)
        client.delete_bucket(**owner)

    return Part("bucket", name, wanted, look, make, mend, drop, holds_data=True)


def _empty(client: Any, owner: State) -> None:
    """Remove all files."""
    for page in client.get_paginator("list_objects_v2").paginate(**owner, PaginationConfig={"PageSize": _AT_ONCE}):
        keys = [{"Key": found["Key"]} for found in page.get("Contents", [])]
        if keys:
            client.delete_objects(Delete={"Objects": keys, "Quiet": True}, **owner)
