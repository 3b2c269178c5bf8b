"""``python -m embedded import`` as a process, against a real server."""

import csv
import json
import re
import signal

import pytest

from tests.program import Program
from tests.transfer.conftest import Site, ndjson, some


def refused(path):
    return [(int(line), reason) for line, reason in csv.reader(path.read_text().splitlines())]


def test_points_are_stored_and_counted(site, run, tmp_path):
    device, token = site.device()
    (tmp_path / "a.ndjson").write_text(ndjson(some(2_500)))
    done = run("import", "a.ndjson", url=site.url, token=token)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "a.ndjson: 2,500 points stored\n" and done.stdout == b""
    assert site.points(device) == some(2_500)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ndjson"], "nothing is left beside the file"


def test_the_same_file_again_stores_nothing_twice(site, run, tmp_path):
    device, token = site.device()
    timeless = [{"variable": "t", "value": number} for number in range(1_500)]
    (tmp_path / "a.ndjson").write_text(ndjson(timeless))
    for _ in range(2):
        assert "1,500 points stored" in run("import", "a.ndjson", url=site.url, token=token).stderr
    assert site.count(device) == 1_500


@pytest.mark.parametrize("fate", ["before", "after"])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_after_a_kill_it_resumes_and_nothing_is_doubled(site, run, proxy, tmp_path, at, fate):
    device, token = site.device()
    lines = ndjson({"variable": "t", "value": number} for number in range(4_500)).splitlines(keepends=True)
    lines[100], lines[3_300] = "no JSON\n", '{"variable": "a b"}\n'
    (tmp_path / "a.ndjson").write_text("".join(lines))

    def on(number, method, path):
        if (method, path, number) == ("POST", "/data", at):
            run.kill()
            return fate
        return None

    proxy.on = on
    assert run("import", "a.ndjson", url=proxy.url, token=token).returncode == -signal.SIGKILL
    before = len(proxy.sent("POST", "/data"))
    done = run("import", "a.ndjson", url=proxy.url, token=token)
    assert done.returncode == 3 and "a.ndjson: 4,498 points stored; 2 lines refused" in done.stderr
    assert ("Resuming after" in done.stderr) == (at > 0)
    assert len(proxy.sent("POST", "/data")) == before + 5 - at, "what was acknowledged is not sent again"
    assert site.count(device) == 4_498
    assert [line for line, _ in refused(tmp_path / "a.ndjson.errors.csv")] == [101, 3_301]


def test_batches_are_cut_by_count_and_size_and_have_keys_that_stay(site, run, proxy, tmp_path):
    _, token = site.device()
    large = some(300, metadata={"text": "ü" * 1_500})
    (tmp_path / "a.ndjson").write_text(ndjson(large + some(1_200)))
    assert run("import", "a.ndjson", url=proxy.url, token=token).returncode == 0
    first = proxy.sent("POST", "/data")
    bodies = [body for _, body in first]
    assert max(map(len, bodies)) <= 180_000 and max(len(json.loads(body)) for body in bodies) == 1_000
    assert sum(len(json.loads(body)) for body in bodies) == 1_500 and len(bodies) == 7
    run("import", "a.ndjson", url=proxy.url, token=token)
    second = proxy.sent("POST", "/data")[len(first) :]
    keys = [[headers["Idempotency-Key"] for headers, _ in sent] for sent in (first, second)]
    assert keys[0] == keys[1] and len({*keys[0]}) == 7
    assert [body for _, body in second] == bodies


def test_server_that_restarts_meanwhile_gets_everything_once(tmp_path, run, proxy):
    program = Program(tmp_path / "server", DECANT_DEVICE_TOKEN="5ff1e4a6-97ab-4b4c-8f0b-17d7ef8a2bb3")
    site = Site(program)
    proxy.target = site.url

    def on(number, method, path):
        if (method, path) == ("POST", "/data") and number in (1, 3):
            site.program.stop(signal.SIGKILL)
            site.program = Program(tmp_path / "server")
            proxy.target = site.url
            return "before"
        return (503, {}, b"no JSON") if number == 5 else None

    proxy.on = on
    (tmp_path / "a.ndjson").write_text(ndjson(some(4_000)))
    try:
        done = run("import", "a.ndjson", url=proxy.url, token=program.device_token)
        assert done.returncode == 0 and "4,000 points stored" in done.stderr, done.stderr
        assert site.program.call("GET", "/data?query=count", program.device_token) == 4_000
    finally:
        site.program.stop()


def test_bad_lines_are_listed_and_the_others_stored(site, run, tmp_path):
    device, token = site.device()
    good = {"variable": "t", "value": 1, "time": "2026-11-01T00:00:00.000Z", "group": "g"}
    lines = [
        json.dumps(good), "[]", "", '{"variable": "t", "value": [1]}', '{"value": 1}', '{"variable": "t", "time": "soon"}',
        '{"variable": "t", "location": {"lat": 91, "lng": 0}}', '{"variable": "t", "value": "' + "x" * 6_001 + '"}',
        '{"variable": "t", "group": 7}', "\ufffe", json.dumps(good | {"value": 2}),
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    done = run("import", "a.jsonl", url=site.url, token=token)
    assert done.returncode == 3
    assert done.stderr == "a.jsonl: 2 points stored; 8 lines refused, listed in a.jsonl.errors.csv\n"
    found = refused(tmp_path / "a.jsonl.errors.csv")
    assert [line for line, _ in found] == [2, 4, 5, 6, 7, 8, 9, 10]
    reasons = ["JSON object", "value", "variable", "time", "lat", "6000 bytes", "group", "JSON object"]
    assert all(word in reason for word, (_, reason) in zip(reasons, found, strict=True)), found
    assert site.points(device) == [good, good | {"value": 2}]


def test_strict_stops_at_the_first_bad_line_and_resumes_when_it_is_mended(site, run, tmp_path):
    _, token = site.device()
    (tmp_path / "a.ndjson").write_text(ndjson(some(1_200)) + "{}\n")
    done = run("import", "a.ndjson", "--strict", url=site.url, token=token)
    assert done.returncode == 1 and done.stderr == "Cannot import: Line 1201: variable is required\n"
    assert (tmp_path / "a.ndjson.import").exists() and not (tmp_path / "a.ndjson.errors.csv").exists()


def test_points_outside_the_window_of_an_immutable_device_are_listed(site, run, tmp_path):
    device, token = site.immutable("day", 3)
    now = site.call("POST", "/data", {"variable": "now"}, token) and site.points(device)[0]["time"]
    points = [{"variable": "t", "value": 1, "time": time} for time in ("2020-01-01", now, "2020-01-02", now)]
    points[3]["value"] = 2
    (tmp_path / "a.ndjson").write_text(ndjson(points))
    done = run("import", "a.ndjson", url=site.url, token=token)
    assert done.returncode == 3 and "2 points stored; 2 lines refused" in done.stderr
    assert [line for line, _ in refused(tmp_path / "a.ndjson.errors.csv")] == [1, 3]


def test_points_that_a_server_refuses_without_saying_which_are_found(site, run, proxy, tmp_path):
    device, token = site.device()
    (tmp_path / "a.ndjson").write_text(ndjson(some(100)))
    bad = re.compile(rb'"value":(17|60)[,}]')

    def on(_, method, path):
        is_bad = method == "POST" and bad.search(proxy.calls[-1][3])
        return (400, {}, b'{"status": false, "message": "Something is wrong"}') if is_bad else None

    proxy.on = on
    done = run("import", "a.ndjson", url=proxy.url, token=token)
    assert done.returncode == 3 and "98 points stored; 2 lines refused" in done.stderr
    assert refused(tmp_path / "a.ndjson.errors.csv") == [(18, "Something is wrong"), (61, "Something is wrong")]
    assert len({headers["Idempotency-Key"] for headers, _ in proxy.sent("POST", "/data")}) == len(
        proxy.sent("POST", "/data")
    )
    assert site.count(device) == 98


def test_full_device_stops_the_import_which_can_be_resumed(site, run, proxy, tmp_path):
    _, token = site.device()
    (tmp_path / "a.ndjson").write_text(ndjson(some(1_100)))
    full = (400, {}, b'{"status": false, "message": "The device has reached the limit"}')
    proxy.on = lambda number, method, path: full if method == "POST" else None
    done = run("import", "a.ndjson", url=proxy.url, token=token)
    assert done.returncode == 1 and "refuses one point after the other: The device has reached the limit" in done.stderr
    assert len(proxy.sent("POST", "/data")) < 100
    assert "1,100 points stored" in run("import", "a.ndjson", url=site.url, token=token).stderr


def test_csv_with_other_names_separators_and_places(site, run, tmp_path):
    device, token = site.device()
    text = '\ufeff ts ;name;Value;place;meta;other\r\n2026-11-01T00:00:00Z;Temp;21.5;52.5,13.25;"{""a"": 1}";x\r\n'
    text += '1761955200000;note;"two\nlines; \'=1+1";;;\r\n;broken;1;91,0\r\n'
    (tmp_path / "a.csv").write_bytes(text.encode() + b"2026-11-01;t;\xff\n")
    mapping = "time=ts,variable=name,location=place,metadata=meta"
    done = run("import", "a.csv", "--map", mapping, "--delimiter", ";", url=site.url, token=token)
    assert done.returncode == 3, done.stderr
    assert [line for line, _ in refused(tmp_path / "a.csv.errors.csv")] == [5, 6]
    first, second = sorted(site.points(device), key=lambda point: point["variable"])
    assert first.pop("group") == second.pop("group")
    assert first == {"variable": "note", "value": "two\nlines; '=1+1", "time": "2025-11-01T00:00:00.000Z"}
    assert second == {
        "variable": "temp", "value": 21.5, "time": "2026-11-01T00:00:00.000Z", "metadata": {"a": 1},
        "location": {"type": "Point", "coordinates": [13.25, 52.5]},
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_wide_table_has_a_variable_a_column(site, run, tmp_path, kind):
    device, token = site.device()
    table = {
        "when": ["2026-11-01T00:00:00.000Z", "2026-11-01T00:01:00.000Z"], "temp": [1.5, None], "door": [True, False],
        "unit": ["C", "C"],
    }  # fmt: skip
    if kind == "csv":
        rows = [
            [{True: "true", False: "false", None: ""}.get(cell, cell) for cell in row]
            for row in zip(*table.values(), strict=True)
        ]
        with (tmp_path / "a.csv").open("w") as file:
            csv.writer(file).writerows([table, *rows])
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table(table), tmp_path / "a.parquet")
    done = run("import", f"a.{kind}", "--wide", "--map", "time=when", url=site.url, token=token)
    assert done.stderr == f"a.{kind}: 3 points stored\n" and done.returncode == 0
    assert [(p["time"][14:16], p["variable"], p["value"], p["unit"]) for p in site.points(device)] == [
        ("00", "temp", 1.5, "C"), ("00", "door", True, "C"), ("01", "door", False, "C")
    ]  # fmt: skip


def test_input_is_read_and_again_without_doubles(site, run):
    device, token = site.device()
    for _ in range(2):
        done = run(
            "import", "-", "--format", "ndjson", url=site.url, token=token, stdin=ndjson(some(10)).encode() + b"{}\n"
        )
        assert done.returncode == 3
        assert done.stderr == "11: variable is required\nthe input: 10 points stored; 1 line refused\n"
    assert site.count(device) == 10


def test_profile_token_sends_with_a_token_of_the_device(site, run, proxy, tmp_path):
    device, _ = site.device()
    (tmp_path / "a.ndjson").write_text(ndjson(some(3) + some(1)))
    done = run("import", "a.ndjson", "--device", device, url=proxy.url, token=site.token)
    assert done.stderr == "a.ndjson: 3 points stored; 1 point alike in all fields, stored once\n"
    assert len(proxy.sent("POST", "/data")) == 1 and site.points(device) == some(3)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.csv"], "no column for variable. The file has x, y: name the columns with --map, or use --wide"),
        (["a.csv", "--map", "variable=z"], "no column for variable"),
        (["a.csv", "--format", "parquet"], "The file is no Parquet"),
        (["a.txt"], "the name a.txt does not say the format: use --format csv or ndjson or parquet"),
        (["none.csv"], "none.csv: No such file"),
        ([], "give either a FILE or --from-tagoio"),
        (["a.csv", "--url", "example.com"], "no address of an API"),
        (["a.csv", "--url", "http://127.0.0.1:9", "--patience", "0"], "does not answer: "),
        (["a.csv", "--token", ""], "No token is given: use --token, or the environment variable DECANT_TOKEN"),
        (["a.csv", "--token", "no"], "refuses the token or the device: Authorization Denied (401)"),
        (["a.csv", "--device", "0" * 24], "refuses the token or the device"),
    ],
)
def test_mistakes_are_explained(site, run, tmp_path, arguments, reason):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    _, token = site.device()
    done = run("import", *arguments, url=site.url, token=token)
    assert done.returncode == 1 and done.stderr.startswith("Cannot import: ") and reason in done.stderr, done.stderr


def test_profile_token_without_a_device_is_explained(site, run, tmp_path):
    (tmp_path / "a.csv").write_text("variable\nt\n")
    done = run("import", "a.csv", url=site.url, token=site.token)
    assert done.returncode == 1 and "name the device with --device" in done.stderr


def test_token_that_must_not_see_tokens_may_still_send(site, run, proxy, tmp_path):
    device, _ = site.device()
    denied = (401, {}, b'{"status": false, "message": "Authorization Denied"}')
    proxy.on = lambda number, method, path: denied if path.startswith("/device/token/") else None
    (tmp_path / "a.ndjson").write_text(ndjson(some(3)))
    done = run("import", "a.ndjson", "--device", device, url=proxy.url, token=site.token)
    assert done.returncode == 0 and len(proxy.sent("POST", f"/device/{device}/data")) == 1
    assert site.points(device) == some(3)
