"""Backups and restores on AWS: the bucket, and the function that works on them."""

import hashlib
import hmac
from types import SimpleNamespace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import boto3
import pytest
import requests
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody

from chalicelib import errors, settings
from chalicelib.codec import csvtext
from chalicelib.functions import files as function
from chalicelib.host import bucket
from chalicelib.host import files as host
from chalicelib.host import jobs as queue
from chalicelib.services.devices import files, imports, jobs
from tests.kit.faults import hook
from tests.kit.files import BUCKET, Asked, csv_of, in_bucket, job_of
from tests.kit.policies import running
from tests.kit.world import World, point, values

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""moto leaves parts open that are uploaded again."""


@pytest.fixture
def world(dynamo, clock):
    with in_bucket():
        queue.use(Asked())
        yield World()


def call(device, left_ms=300_000):
    """Call the function."""
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: left_ms)
    with running("files"):
        host.use(None)
        function.work({"device": device}, context)


def put(world, path, text):
    boto3.client("s3").put_object(Bucket=BUCKET, Key=files.key_of(world.profile, path), Body=text.encode())


def text_of(world, path):
    found = boto3.client("s3").get_object(Bucket=BUCKET, Key=files.key_of(world.profile, path))
    return found["Body"].read().decode()


def ask(world, verb, **body):
    with running("http"):
        host.use(None)
        return world.admin.post(f"/device/{world.device}/data/{verb}", body)


def test_backup_and_restore_within_the_policies_of_the_functions(world):
    world.send(point("a", 1, time="2026-01-01"), point("a", "ü", time="2026-01-02"))
    ask(world, "backup", file_address="x").result  # noqa: B018
    call(world.device)
    assert text_of(world, "x.csv").startswith(csvtext.header(has_ids=True) + "a,1,")
    assert jobs.waiting() == [] and job_of(world, "x.csv")["status"] == "done"
    world.admin.post(f"/device/{world.device}/empty").result  # noqa: B018
    ask(world, "restore", file_address="x").result  # noqa: B018
    call(world.device)
    assert values(world.read(qty=5)) == ["ü", 1]
    ask(world, "restore", file_address="none")
    with running("http"):
        url = world.admin.get("/files/url", query={"path": "x"}).result["url"]
        assert world.admin("DELETE", "/files", json_body=["x"]).status == 200
    assert url.startswith(f"https://{BUCKET}.s3.amazonaws.com/{world.profile}/x.csv?") and "X-Amz-Signature=" in url


def test_addresses_name_the_region_and_parts_have_no_checksum(world, monkeypatch):
    """The address of another region redirects, and S3 refuses parts with a checksum that it was not told of."""
    host.use(None)
    sent = []
    host.current()._client.meta.events.register("before-send.s3.UploadPart", lambda request, **_: sent.append(request))
    host.current().put_part("p/x.csv", host.current().begin("p/x.csv", "job"), [], b"a")
    assert not [name for name in sent[0].headers if "checksum" in name.lower() or "trailer" in name.lower()]
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for url in (bucket.Bucket().download_url("p/x.csv"), bucket.Bucket().upload_url("p/x.csv", 5)):
        assert url.startswith("https://decant-files-123456789012-eu-central-1.s3.eu-central-1.amazonaws.com/p/x.csv?")


def test_cleared_profile_has_no_file(world):
    host.use(None)
    for key in ("p/a.csv", "p/b/c.csv", "pp/kept.csv"):
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"a")
    host.current().clear("p")
    host.current().clear("p")
    assert [host.current().size(key) for key in ("p/a.csv", "p/b/c.csv", "pp/kept.csv")] == [None, None, 1]


def test_file_without_content_is_no_table(world):
    put(world, "x.csv", "")
    ask(world, "restore", file_address="x").result  # noqa: B018
    call(world.device)
    assert "first line" in job_of(world, "x.csv")["message"]


def test_backup_of_nothing_is_an_empty_file(world):
    ask(world, "backup", file_address="x", headers=False).result  # noqa: B018
    call(world.device)
    assert job_of(world, "x.csv")["status"] == "done" and text_of(world, "x.csv") == ""


def test_break_while_a_file_is_read_is_unavailable(world, monkeypatch):
    def broken(_):
        raise ReadTimeoutError(endpoint_url="s3")

    put(world, "x.csv", "variable,value\na,1\n")
    host.use(None)
    monkeypatch.setattr(StreamingBody, "read", broken)
    with pytest.raises(errors.Unavailable):
        host.current().read(files.key_of(world.profile, "x.csv"), 0, 10)


def test_large_backup_has_several_parts(world):
    long = "x" * 5_900
    for number in range(45):
        world.send(
            *(
                point("a", f"{number} {index} {long}", time=f"2026-01-01T00:{number:02d}:{index:02d}Z")
                for index in range(25)
            )
        )
    ask(world, "backup", file_address="x", headers=False).result  # noqa: B018
    uploaded = []
    client_of, made = bucket.aws.client, []

    def client(*arguments, **more):
        made.append(client_of(*arguments, **more))
        made[-1].meta.events.register(
            "before-parameter-build.s3.UploadPart", lambda params, **_: uploaded.append(len(params["Body"]))
        )
        return made[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bucket.aws, "client", client)
        call(world.device)
    assert len(uploaded) == 2 and uploaded[0] >= 5 * 1024 * 1024, "S3 refuses a smaller part but the last"
    assert text_of(world, "x.csv").count("\r\n") == 45 * 25


def test_function_saves_where_it_is_and_asks_to_come_again(world, monkeypatch):
    monkeypatch.setattr(imports, "BATCH_ROWS", 2)
    put(world, "x.csv", csv_of(*(point("a", number, time=f"2026-01-01T00:00:0{number}Z") for number in range(9))))
    ask(world, "restore", file_address="x").result  # noqa: B018
    asked = Asked()
    queue.use(asked)
    left = iter([240.0, 240.0, 0.0])
    monkeypatch.setattr(function, "_left_s", lambda: next(left))
    call(world.device)
    assert asked.devices == [world.device]
    (job,) = jobs.waiting()
    assert job.doc["points"] == 2 and job.doc["claimed_until_ms"] == 0
    monkeypatch.setattr(function, "_left_s", lambda: 240.0)
    call(world.device)
    assert sorted(values(world.read(qty=20))) == [*range(9)]
    call(world.device)
    assert asked.devices == [world.device], "a call that comes again finds nothing to do"


def test_function_leaves_a_job_that_another_one_works_on(world, clock):
    put(world, "x.csv", "variable,value\na,1\n")
    ask(world, "restore", file_address="x").result  # noqa: B018
    (entity,) = jobs.waiting()
    assert jobs.claim(entity, until_ms=clock.now_ms + 1_000)
    asked = Asked()
    queue.use(asked)
    call(world.device)
    assert asked.devices == [] and len(jobs.waiting()) == 1
    clock.advance(2)
    call(world.device)
    assert jobs.waiting() == []


@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"])
@pytest.mark.parametrize("kind", ["backup", "restore"])
def test_function_that_dies_at_any_write_is_completed_by_the_next(world, operation, kind, monkeypatch):
    monkeypatch.setattr(imports, "BATCH_ROWS", 2)
    points = [point("a", number, time=f"2026-01-01T00:00:0{number}Z") for number in range(5)]
    if kind == "restore":
        put(world, "x.csv", csv_of(*points))
    else:
        world.send(*points)
    ask(world, kind, file_address="x").result  # noqa: B018
    for fault in range(30):
        count = [0]

        def die(count=count, fault=fault, **_):
            count[0] += 1
            if count[0] == fault + 1:
                raise _Died

        with hook(f"before-call.dynamodb.{operation}", die):
            try:
                call(world.device)
            except _Died:
                clock_moves()
                continue
        break
    assert jobs.waiting() == [] and job_of(world, "x.csv")["status"] == "done"
    if kind == "restore":
        assert sorted(values(world.read(qty=20))) == [*range(5)]
    else:
        assert text_of(world, "x.csv").count("\r\n") == 6


class _Died(BaseException):
    """The function is cut off."""


def clock_moves():
    """Let the claim of the function that died end."""
    for entity in jobs.waiting():
        jobs.claim(entity, until_ms=0)


def signature(url, size):
    """Return the signature that S3 demands of a PUT of so many bytes, which moto does not check."""
    asked = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(asked.query) if name != "X-Amz-Signature"]
    sent = dict(query)
    text = urlencode(sorted(query), quote_via=quote, safe="-_.~")
    headers = f"content-length:{size}\nhost:{asked.netloc}\n"
    request = "\n".join(["PUT", asked.path, text, headers, sent["X-Amz-SignedHeaders"], "UNSIGNED-PAYLOAD"])
    scope = sent["X-Amz-Credential"].partition("/")[2]
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = b"AWS4" + boto3.Session().get_credentials().secret_key.encode()
    for part in [*scope.split("/"), "\n".join(["AWS4-HMAC-SHA256", sent["X-Amz-Date"], scope, digest])]:
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def test_address_to_upload_takes_the_stated_size_only(world):
    with running("http"):
        host.use(None)
        answer = world.admin.post("/files/url", {"filename": "up", "size": 5}).result
    assert answer["method"] == "PUT" and answer["filename"] == "up.csv"
    asked = dict(parse_qsl(urlsplit(answer["url"]).query))
    signed = [
        signature(answer["url"], len(content)) == asked["X-Amz-Signature"] for content in ("a,b,c", "a,b", "a,b,cd")
    ]
    assert signed == [True, False, False]
    assert requests.put(answer["url"], data=b"a,b,c").status_code == 200
    assert text_of(world, "up.csv") == "a,b,c"
    (listed,) = world.admin.get("/files").result["files"]
    assert listed["size"] == 5
    assert world.admin.post("/files/url", {"filename": "up", "size": 200_000_001}).status == 400
    assert world.admin.post("/files/url", {"filename": "up", "size": 0}).status == 400


def test_bucket_that_does_not_answer_is_unavailable(world, monkeypatch):
    host.use(None)
    settings.use(settings.Settings(files_bucket="not-there", password_memory_kib=8, password_passes=1))
    with pytest.raises(errors.Unavailable):
        host.current().begin("a/b.csv", "job")
    settings.use(settings.Settings(password_memory_kib=8, password_passes=1))
    host.use(None)


def test_completed_upload_can_be_completed_again(world):
    host.use(None)
    kept = host.current()
    upload = kept.begin("p/x.csv", "job")
    mark = kept.put_part("p/x.csv", upload, [], b"a")
    kept.complete("p/x.csv", upload, [mark])
    kept.complete("p/x.csv", upload, [mark])
    assert kept.size("p/x.csv") == 1 and kept.read("p/x.csv", 0, 10) == b"a"
    kept.abort("p/x.csv", upload)
    kept.delete("p/x.csv")
    kept.delete("p/x.csv")
    assert kept.size("p/x.csv") is None
    with pytest.raises(errors.BadRequest):
        kept.complete("p/x.csv", upload, [mark])
