"""Bodies of every route: encodings and compression."""

import base64
import gzip
import json
import time
import zlib

import pytest

from chalicelib import routes
from chalicelib.http.route import DEVICE
from tests.kit.world import World, point, values

BODY = json.dumps([point("a", index, time=1_767_225_600_000 + index) for index in range(20)]).encode()
JSON = {"Content-Type": "application/json"}


def raw_deflate(content):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


FORMS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "GZIP ": gzip.compress, "deflate": zlib.compress}
CODINGS = [*FORMS.items(), ("deflate", raw_deflate)]
coded = pytest.mark.parametrize(("coding", "compress"), CODINGS, ids=["gzip", "x-gzip", "upper", "zlib", "raw"])


def send(api, content, method="POST", path="/data", **headers):
    """Send bytes, as API Gateway and the embedded gateway do with bytes that are not text."""
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    return api(method, path, raw=base64.b64encode(content).decode(), base64=True, headers=JSON | headers)


@coded
def test_compressed_body_is_inflated(world, coding, compress):
    assert send(world.api, compress(BODY), Content_Encoding=coding).result == "20 Data Added"
    assert world.read(query="count") == 20
    # A retry that is not compressed is the same request.
    assert send(world.api, BODY).result == "20 Data Added"
    assert world.read(query="count") == 20


def test_body_that_the_gateway_has_inflated_is_read(world):
    """API Gateway inflates a body, hands it over as text, and leaves the header."""
    answer = world.api.post("/data", raw=BODY.decode(), headers=JSON | {"Content-Encoding": "gzip"})
    assert answer.result == "20 Data Added"


@coded
def test_compressed_body_that_is_cut_at_any_byte_is_refused(world, coding, compress):
    content = compress(b'{"variable":"a","value":1}')
    for length in range(1, len(content)):
        answer = send(world.api, content[:length], Content_Encoding=coding)
        assert answer.status == 400, length
    assert world.read() == []


@coded
@pytest.mark.parametrize(
    "after",
    [b"x", b"\0", BODY, gzip.compress(BODY, mtime=0), zlib.compress(BODY)],
    ids=["x", "nul", "plain", "gzip", "zlib"],
)
def test_compressed_body_with_more_behind_it_is_refused(world, coding, compress, after):
    answer = send(world.api, compress(BODY) + after, Content_Encoding=coding)
    assert answer.status == 400 and "Content-Encoding" in answer.message


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "content",
    [BODY, b"\x1f\x8b", b"\0" * 100, gzip.compress(BODY, mtime=0)[:10] + b"\xff" * 50],
    ids=["plain", "short", "nuls", "broken"],
)
def test_body_that_is_not_compressed_as_it_says_is_refused(world, coding, content):
    assert send(world.api, content, Content_Encoding=coding).status == 400


def test_checksum_of_a_compressed_body_counts(world):
    content = bytearray(gzip.compress(BODY))
    content[-6] ^= 1
    assert send(world.api, bytes(content), Content_Encoding="gzip").status == 400


@coded
def test_bomb_is_refused_in_bounded_time(world, coding, compress):
    bomb = compress(b"[" + b" " * 100_000_000 + b"]")
    assert len(bomb) < 200_000
    started_s = time.thread_time()
    answer = send(world.api, bomb, Content_Encoding=coding)
    assert answer.status == 413 and "2,000 points" in answer.message
    assert "inflates to over" in answer.message and "DECANT_MAX_INFLATED_BYTES" in answer.message
    assert time.thread_time() - started_s < 0.2


@coded
def test_inflated_body_has_the_limit_of_a_body(world, configure, coding, compress):
    fitting = BODY + b" " * (200_000 - len(BODY))
    assert send(world.api, compress(fitting), Content_Encoding=coding).status == 200
    assert send(world.api, compress(fitting + b" "), Content_Encoding=coding).status == 413
    configure(max_inflated_bytes=2_000_000)
    longer = BODY + b" " * (2_000_000 - len(BODY))
    assert send(world.api, compress(longer), Content_Encoding=coding).status == 200
    assert world.api.post("/data", raw=longer.decode(), headers=JSON | {"Content-Encoding": coding}).status == 200
    assert send(world.api, compress(longer + b" "), Content_Encoding=coding).status == 413
    assert send(world.api, fitting + b" ").status == 413


def test_compressed_body_with_more_points_than_a_request_may_hold_is_refused(sqlite, configure):
    configure(max_inflated_bytes=2_000_000)
    world = World()
    for count, status in ((16_384, 200), (16_385, 413)):
        content = b"[" + b",".join([b'{"variable":"a","value":1}'] * count) + b"]"
        answer = send(world.api, gzip.compress(content), Content_Encoding="gzip")
        assert answer.status == status
    assert world.read(query="count") == 16_384


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "x", "x" * 1_000])
def test_other_encodings_are_refused_with_the_supported_ones(world, coding):
    answer = send(world.api, BODY, Content_Encoding=coding)
    assert answer.status == 415 and "gzip, deflate" in answer.message and len(answer.message) < 150


@pytest.mark.parametrize("coding", ["", "identity", "Identity"])
def test_no_encoding_is_an_encoding(world, coding):
    assert send(world.api, BODY, Content_Encoding=coding).result == "20 Data Added"


@pytest.mark.parametrize(
    "raw",
    [b"\xef\xbb\xbf" + BODY, BODY + b"\0", b"\xef\xbb\xbf" + BODY + b"\0\0\0\0\0"],
    ids=["mark", "nul", "both"],
)
def test_mark_at_the_start_and_nuls_at_the_end_are_skipped(world, raw):
    assert send(world.api, raw).result == "20 Data Added"
    assert world.api.post("/data", raw=raw.decode(), headers=JSON).result == "20 Data Added"
    assert send(world.api, gzip.compress(raw), Content_Encoding="gzip").result == "20 Data Added"
    assert world.read(query="count") == 20


WIDE = [
    (name, raw, kind)
    for kind in ("16", "32")
    for name, raw in [
        *((f"utf-{kind}", text.encode(f"utf-{kind}")) for text in ("[]", '{"variable":"a","value":1}')),
        *((f"utf-{kind}-{end}", '{"variable":"ü"}'.encode(f"utf-{kind}-{end}")) for end in ("le", "be")),
    ]
]


@pytest.mark.parametrize(("name", "raw", "kind"), WIDE, ids=[str(index) for index in range(len(WIDE))])
def test_utf16_and_utf32_are_refused_by_name(world, name, raw, kind):
    answer = send(world.api, raw)
    assert answer.status == 415 and answer.message == f"UTF-{kind} is not supported: send UTF-8"
    answer = send(world.api, b'{"variable":"a"}', Content_Type=f"application/json; charset={name.upper()}")
    assert answer.status == 415 and f"UTF-{kind}" in answer.message


WITH_BODY = [row for row in routes.ALL if row.body is not None or (row.path.endswith("/data") and row.method == "POST")]


@pytest.mark.parametrize("row", WITH_BODY, ids=lambda row: f"{row.method} {row.path}")
def test_every_route_with_a_body_reads_it_alike(sqlite, row):
    world = World()
    api = world.api if DEVICE in row.who else world.admin
    path = row.path.replace("{device_id}", world.device).replace("{param_id}", "0" * 24)
    path = path.replace("{action_id}", "0" * 24)
    content = b'{"unknown":[1],"file_address":[1]}'  # a backup of any file would begin

    def asked(raw, **headers):
        answer = send(api, raw, row.method, path, **headers)
        return answer.status, answer.body.get("message")

    plain = asked(content)
    assert plain[0] in (200, 400, 401, 404)
    assert asked(b"\xef\xbb\xbf" + content + b"\0") == plain
    assert asked(gzip.compress(content), Content_Encoding="gzip") == plain
    if plain[0] != 401:
        assert asked(content.decode().encode("utf-16-le"))[0] == 415
        assert asked(content, Content_Encoding="br")[0] == 415
        assert asked(b" " * 200_001)[0] == 413


def test_body_that_is_too_large_is_refused_with_the_way_out(world):
    answer = world.api.post("/data", raw=" " * 200_001, headers=JSON)
    assert answer.status == 413
    assert answer.message == "The body is over 200000 bytes: send about 2,000 points a request"


def test_answer_that_may_be_compressed_varies(world):
    assert "vary" not in world.api.get("/info").headers
    world.send(*[point("a", "x" * 500) for _ in range(3)])
    answer = world.api.get("/data")
    assert answer.headers["vary"] == "Accept-Encoding" and values(answer.result) == ["x" * 500] * 3
