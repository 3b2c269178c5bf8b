"""``python -m embedded export`` as a process, against a real server."""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest

from embedded.transfer import parquet
from tests.transfer.conftest import some

SAME = "2026-11-02T00:00:00.000Z"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def stored(site, points):
    """Store points on a new immutable device, a thousand a request; return its id and token."""
    device, token = site.immutable()
    for start in range(0, len(points), 1_000):
        site.call("POST", "/data", points[start : start + 1_000], token)
    return device, token


@pytest.fixture(scope="module")
def crowd(site):
    """A device with 25,000 points of one time between others."""
    points = some(50) + [{"variable": "crowd", "value": number, "time": SAME, "group": "g"} for number in range(25_000)]
    return *stored(site, points + [{"variable": "after", "value": 1, "time": "2026-11-02T00:00:01.000Z"}]), points


def test_more_points_of_one_time_than_a_page_holds_are_all_there_once_and_in_order(site, run, tmp_path, crowd):
    _, token, points = crowd
    done = run("export", "a.ndjson", url=site.url, token=token)
    assert done.returncode == 0 and done.stderr == "a.ndjson: 25,051 points written\n"
    found = lines(tmp_path / "a.ndjson")
    assert len({point["id"] for point in found}) == 25_051
    assert [point["value"] for point in found[:-1]] == [point["value"] for point in points]
    assert [path.name for path in tmp_path.iterdir()] == ["a.ndjson"]


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_after_a_kill_it_resumes_and_the_file_is_the_same(site, run, proxy, tmp_path, crowd, kind, at):
    _, token, _ = crowd
    (tmp_path / f"a.{kind}").write_text("what was there before")

    def on(number, method, path):
        if (path, number) == ("/data", at):
            run.kill()
            return "before"
        return None

    proxy.on = on
    assert run("export", f"a.{kind}", url=proxy.url, token=token).returncode == -signal.SIGKILL
    assert (tmp_path / f"a.{kind}").read_text() == "what was there before"
    if at:
        with (tmp_path / f"a.{kind}.part").open("ab") as file:
            file.write(b"half a li")  # what a kill between two writes leaves
    before = len(proxy.sent("GET", "/data"))
    done = run("export", f"a.{kind}", url=proxy.url, token=token)
    assert done.returncode == 0 and ("Resuming after" in done.stderr) == (at > 0), done.stderr
    assert len(proxy.sent("GET", "/data")) - before == 3 - at
    run("export", f"b.{kind}", url=site.url, token=token)
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{kind}", f"b.{kind}"]


def test_other_range_does_not_resume(site, run, proxy, tmp_path, crowd):
    _, token, _ = crowd
    proxy.on = lambda number, method, path: run.kill() if (path, number) == ("/data", 1) else None
    run("export", "a.ndjson", url=proxy.url, token=token)
    proxy.on = lambda *_: None
    done = run("export", "a.ndjson", "--variables", "after", url=proxy.url, token=token)
    assert done.stderr == "a.ndjson: 1 point written\n"
    assert [point["variable"] for point in lines(tmp_path / "a.ndjson")] == ["after"]


def test_range_and_variables(site, run, tmp_path):
    points = [point | {"variable": name} for point in some(120) for name in ("a", "b", "c")]
    device, token = stored(site, points)
    done = run(
        "export", "a.csv", "--variables", "b,a", "--start", points[30]["time"], "--end", points[44]["time"],
        "--device", device, url=site.url, token=site.token,
    )  # fmt: skip
    assert done.returncode == 0 and "10 points written" in done.stderr
    rows = [*csv.DictReader((tmp_path / "a.csv").read_text().splitlines())]
    assert [(row["variable"], row["value"]) for row in rows] == [
        (name, str(value)) for name in "ba" for value in range(10, 15)
    ]
    assert len({row["id"] for row in rows}) == 10 and "device" not in rows[0]
    assert "0 points written" in run("export", "b.csv", "--end", "2020-01-01", url=site.url, token=token).stderr
    assert (tmp_path / "b.csv").read_bytes() == b"variable,value,unit,group,time,location,metadata,id\r\n"


def test_answers_that_would_be_too_large_are_asked_for_in_smaller_pages(site, run, proxy, tmp_path):
    _, token = stored(site, [])
    large = some(900, metadata={"text": "x" * 8_000})
    for start in range(0, 900, 20):
        site.call("POST", "/data", large[start : start + 20], token)
    done = run("export", "a.ndjson", url=proxy.url, token=token)
    assert done.returncode == 0, done.stderr
    assert [point["value"] for point in lines(tmp_path / "a.ndjson")] == [*range(900)]
    assert len(proxy.sent("GET", "/data")) > 5


def test_output_goes_through_a_pipe_into_an_import(site, run, tmp_path):
    _, token = stored(site, some(1_500))
    other, other_token = site.device()
    for kind in ("csv", "parquet", "ndjson"):
        output = run("export", "-", "--format", kind, url=site.url, token=token)
        assert output.stderr == "the output: 1,500 points written\n"
        done = run("import", "-", "--format", kind, url=site.url, token=other_token, stdin=output.stdout)
        assert "1,500 points stored" in done.stderr, done.stderr
        assert site.points(other) == some(1_500)
        site.call("POST", f"/device/{other}/empty")
    assert [*tmp_path.iterdir()] == []


def test_reader_of_the_output_may_leave(site, run, crowd):
    command = f"{sys.executable} -m embedded export - --format ndjson | head -1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    environment = os.environ | {"TAGOIO_API": site.url, "DECANT_TOKEN": crowd[1]}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "1\n" and done.stderr == "Stopped: nobody reads the output any more\n"


def test_parquet_has_columns_to_compute_with(site, run, tmp_path):
    arrow = pytest.importorskip("pyarrow.parquet")
    exact = [2**53 + 1, 12345678901234567890123456789012345678, 1.0, 1, -0.5]
    _, token = stored(
        site, [{"variable": "t", "value": value} for value in [*exact, "12", True]] + [{"variable": "none"}]
    )
    assert run("export", "a.parquet", url=site.url, token=token).returncode == 0
    table = arrow.read_table(tmp_path / "a.parquet")
    assert table["value"].to_pylist() == [*map(float, exact), None, None, None]
    assert table["exact"].to_pylist() == ["9007199254740993", str(exact[1]), "1.0", None, None, None, None, None]
    assert table["text"].to_pylist()[-3:] == ["12", None, None] and table["boolean"].to_pylist()[-3:] == [
        None,
        True,
        None,
    ]
    assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]"


def test_without_pyarrow_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ValueError, match=r"^Parquet needs pyarrow: pip install --require-hashes -r requirements-parquet.txt$"
    ):
        parquet.load()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.csv", "--start", "soon"], "--start 'soon' is not a date: send 2026-01-31T12:00:00Z"),
        (["none/a.csv"], "none/a.csv.part: No such file or directory"),
        (["a.csv", "--token", "no"], "refuses the token"),
    ],
)
def test_mistakes_are_explained(site, run, arguments, reason):
    _, token = site.device()
    done = run("export", *arguments, url=site.url, token=token)
    assert done.returncode == 1 and done.stderr.startswith("Cannot export: ") and reason in done.stderr, done.stderr


def test_points_that_are_deleted_meanwhile_hide_no_others(site, run, proxy, tmp_path):
    device, token = site.device()
    for start in range(0, 12_000, 1_000):
        site.call("POST", "/data", some(12_000)[start : start + 1_000], token)

    def on(number, method, path):
        if (path, number) == ("/data", 1):
            site.call("DELETE", "/data?ordination=ascending&qty=5000", token=token)

    proxy.on = on
    run("export", "a.ndjson", url=proxy.url, token=token)
    assert [point["value"] for point in lines(tmp_path / "a.ndjson")] == [*range(12_000)]
    assert site.count(device) == 7_000


def test_file_is_for_this_user_only(site, run, tmp_path):
    _, token = stored(site, some(1))
    run("export", "a.csv", url=site.url, token=token)
    assert (tmp_path / "a.csv").stat().st_mode & 0o77 == 0
