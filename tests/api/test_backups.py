"""Backups and restores of devices, and the files of a profile."""

import io
import re

import pytest

from chalicelib import errors, store
from chalicelib.codec import csvtext, keys
from chalicelib.host import files as host
from chalicelib.host import jobs as queue
from chalicelib.services.accounts import profile_erasures
from chalicelib.services.devices import devices, erasures, exports, files, imports, jobs
from chalicelib.services.points import fullness, send
from chalicelib.services.usage import outputs
from chalicelib.store import names
from tests.kit.files import Asked, csv_of, finish, get, in_folder, job_of, put
from tests.kit.world import World, point, values

DAY = "2026-09-21"


@pytest.fixture
def folder(tmp_path):
    with in_folder(tmp_path) as made:
        yield made


@pytest.fixture
def world(world, folder):
    return world


def back_up(world, **body):
    return world.admin.post(f"/device/{world.device}/data/backup", body)


def restore(world, path):
    return world.admin.post(f"/device/{world.device}/data/restore", {"file_address": path})


def points_of(text):
    return [row.point for row in csvtext.read(io.StringIO(text, newline=""))]


def test_backup_writes_all_points_oldest_first(world, clock):
    for minute in (3, 1, 2):
        world.send(point("a", minute, time=f"{DAY}T10:0{minute}:00.000Z"), point("b", "x", time=f"{DAY}T11:00:00.000Z"))
    answer = back_up(world, file_address="/device/$DEVICE$/$TIMESTAMP$", headers=True).result
    path = f"device/{world.device}/{clock.now_ms}.csv"
    assert answer == {"file_address": path, "status": "scheduled"}
    assert job_of(world, path)["status"] == "scheduled"
    finish()
    text = get(world, path)
    assert text.startswith(csvtext.header(has_ids=True))
    assert [one["value"] for one in points_of(text)] == [1, 2, 3, "x", "x", "x"]
    job = job_of(world, path)
    assert (job["kind"], job["status"], job["points"]) == ("backup", "done", 6)


def test_backup_takes_null_and_no_body_and_leaves_out_the_header(world, clock):
    world.send(point("a", 1, time=DAY))
    assert back_up(world, chunk_id=None, file_address=None).result["file_address"].endswith(f"{clock.now_ms}.csv")
    finish()
    assert back_up(world, file_address="plain", headers=False).result["file_address"] == "plain.csv"
    finish()
    assert get(world, "plain.csv").startswith("a,1,,")


def test_backup_in_parts_is_the_same(world, monkeypatch):
    world.send(*(point("a", number, time=f"{DAY}T10:00:{number:02d}.000Z") for number in range(50)))
    world.send(*(point("b", number, time=f"{DAY}T10:00:{number:02d}.000Z") for number in range(50)))
    back_up(world, file_address="one")
    finish()
    monkeypatch.setattr(host, "PART_BYTES", 100)
    back_up(world, file_address="parts")
    assert finish() > 3
    assert get(world, "parts.csv") == get(world, "one.csv")
    assert len(points_of(get(world, "one.csv"))) == 100


def test_backup_replaces_a_file_only_when_it_is_complete(world, folder):
    put(folder, world, "same.csv", "old")
    world.send(point("a", 1, time=DAY))
    back_up(world, file_address="same")
    entity = jobs.waiting()[0]
    jobs.keep(jobs.do(entity))
    assert get(world, "same.csv") == "old"
    finish()
    assert get(world, "same.csv") != "old"


@pytest.mark.parametrize(
    "address",
    ["../x", "a/../b", "/..", "a//b", "a/./b", ".hidden", "a\\b", "a\0b", "x.csv/y", "ä", "a/ b", "", "/", "$CHUNK$", "$NO$",
     "a" * 401],
)  # fmt: skip
def test_backup_to_a_bad_address_is_refused(world, address):
    answer = back_up(world, file_address=address)
    assert answer.status == 400 and "file_address" in answer.message
    assert jobs.waiting() == []


def test_one_job_of_a_device_at_a_time(world):
    world.send(point("a", 1, time=DAY))
    back_up(world, file_address="a").result  # noqa: B018
    refused = back_up(world, file_address="b")
    assert refused.status == 400 and "runs already" in refused.message
    finish()
    back_up(world, file_address="b").result  # noqa: B018


def test_backup_of_a_chunk(each_store, clock, folder):
    world = World(type="immutable", chunk_period="day", chunk_retention=3)
    world.send(point("a", 1, time="2026-09-20T10:00:00Z"), point("a", 2, time="2026-09-21T10:00:00Z"))
    chunk = world.admin.get(f"/device/{world.device}/chunk").result[0]["id"]
    for verb in ("backup", "copy"):
        address = "$DEVICE$/$CHUNK$-$FROM$-$TO$-$CHUNK_START$-$CHUNK_END$-$ORGID$-$ENVIRONMENT$"
        answer = world.admin.post(
            f"/device/{world.device}/chunk/{verb}", {"chunk_id": chunk, "headers": False, "file_address": address}
        ).result
        first, last = chunk.split("_")
        path = f"{world.device}/{chunk}-{DAY}-{DAY}-{first}-{last}-{world.profile}-production.csv"
        assert answer == {"chunk_id": chunk, "file_address": path, "status": "scheduled"}
        finish()
        assert get(world, path).startswith("a,2,")
        assert get(world, path).count("\r\n") == 1
    answer = world.admin.post(f"/device/{world.device}/chunk/backup", {"chunk_id": chunk}).result
    assert answer["file_address"] == f"device/{world.device}/{DAY}_{DAY}.csv"
    finish()
    assert world.admin.post(f"/device/{world.device}/chunk/copy", {"chunk_id": "1_2"}).status == 404
    assert world.admin.post(f"/device/{world.device}/chunk/copy", {}).status == 400


def test_restore_brings_back_what_a_backup_wrote(world):
    world.send(
        point("a", 21.5, unit="C", group="g", time="2026-01-01T00:00:00.000Z", metadata={"x": 'say "hi", you'}),
        point("b", None, location={"lat": 1.5, "lng": -2}, time="2026-01-02T00:00:00.000Z"),
        point("c", "=1+1", time="2026-01-03T00:00:00.000Z"),
        point("d", "two\nlines", time="2026-01-04T00:00:00.000Z"),
    )
    before = world.read(qty=100)
    back_up(world, file_address="all")
    finish()
    world.admin.post(f"/device/{world.device}/empty").result  # noqa: B018
    assert world.read(qty=100) == []
    answer = restore(world, "/all.csv").result
    assert answer == "Data import added to the queue successfully!"
    finish()
    strip = [{name: one[name] for name in one if name != "id"} for one in before]
    assert [{name: one[name] for name in one if name != "id"} for one in world.read(qty=100)] == strip
    assert job_of(world, "all.csv")["points"] == 4
    restore(world, "/all.csv")
    finish()
    assert len(world.read(qty=100)) == 4, "the same file again stores nothing twice"


def test_restore_in_batches_stores_each_row_once(world, folder, monkeypatch):
    monkeypatch.setattr(imports, "BATCH_ROWS", 7)
    monkeypatch.setattr(imports, "BATCH_BYTES", 400)
    sent = [
        point("a", f"line\r\n{number}, x", time=f"{DAY}T{number // 60:02d}:{number % 60:02d}:00.000Z")
        for number in range(100)
    ]
    put(folder, world, "big.csv", "\ufeff" + csv_of(*sent))
    restore(world, "big")
    assert finish() > 14
    assert values(world.read(qty=200, ordination="asc")) == [one["value"] for one in sent]


def test_restore_repeats_a_step_that_was_not_saved(world, folder, monkeypatch):
    monkeypatch.setattr(imports, "BATCH_ROWS", 3)
    put(folder, world, "x.csv", "variable,value\n" + "".join(f"a,{number}\n" for number in range(10)))
    restore(world, "x")
    while waiting := jobs.waiting():
        step = jobs.do(waiting[0])
        if step.prepared is not None:
            send.put(step.prepared)  # and the process ends
        jobs.keep(step)
        assert jobs.keep(step) is None
    assert sorted(values(world.read(qty=100))) == [*range(10)]


def test_restore_counts_lines_that_are_no_points(world, folder):
    text = "variable,value,time\na,1,2026-01-01\n,2,2026-01-01\nb b,3,2026-01-01\nc,4,never\nd,5,2026-01-02,x\ne,6,\n"
    put(folder, world, "bad.csv", text)
    restore(world, "bad.csv")
    finish()
    assert sorted(values(world.read(qty=10))) == [1, 6]
    job = job_of(world, "bad.csv")
    assert (job["status"], job["points"], job["refused"]) == ("done", 2, 4)
    assert [re.match(r"Line (\d+): ", problem)[1] for problem in job["problems"]] == ["3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line"), ("value\n1\n", "first line"), ('variable,value\na,"1\n', "no CSV"), ("variable\n\xff\n", "utf-8"),
        ("variable\n" + "a" * 200_000, "no CSV"), ("variable\n" + "a" * 300_000, "longer than"),
    ],
)  # fmt: skip
def test_restore_of_a_file_that_is_no_table_fails_visibly(world, folder, text, message):
    key = files.key_of(world.profile, "no.csv")
    upload = folder.begin(key, "job")
    folder.complete(key, upload, [folder.put_part(key, upload, [], text.encode("latin-1"))])
    restore(world, "no")
    finish()
    job = job_of(world, "no.csv")
    assert job["status"] == "failed" and message in job["message"]


def test_restore_outside_of_the_window_is_refused_by_line(each_store, clock, folder):
    world = World(type="immutable", chunk_period="day", chunk_retention=3)
    put(folder, world, "x.csv", csv_of(point("a", 1, time="2020-01-01T00:00:00Z"), point("a", 2, time=DAY)))
    restore(world, "x")
    finish()
    assert values(world.read(qty=10)) == [2]
    assert "time must be between" in job_of(world, "x.csv")["problems"][0]


def test_restore_stops_at_the_limit_of_a_mutable_device(world, folder, monkeypatch):
    monkeypatch.setattr(fullness, "MAX_POINTS", 4)
    monkeypatch.setattr(imports, "BATCH_ROWS", 2)
    put(folder, world, "x.csv", "variable,value\n" + "".join(f"a,{number}\n" for number in range(10)))
    restore(world, "x")
    finish()
    assert job_of(world, "x.csv")["status"] == "failed"
    assert "limit of 4" in job_of(world, "x.csv")["message"]
    assert len(world.read(qty=100)) in (4, 10)  # on DynamoDB the counters come later
    if len(world.read(qty=100)) == 4:
        assert restore(world, "x").status == 400


def test_restore_of_nothing_is_refused(world):
    assert restore(world, "none").status == 404
    assert restore(world, "../none").status == 400
    assert world.admin.post(f"/device/{world.device}/data/restore", {}).status == 400


def test_limits_of_rows_and_bytes(world, folder, monkeypatch):
    monkeypatch.setattr(imports, "MAX_ROWS", 3)
    put(folder, world, "x.csv", "variable\n" + "a\n" * 4)
    restore(world, "x")
    finish()
    assert "over 3 rows" in job_of(world, "x.csv")["message"]
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    assert restore(world, "x").status == 400
    world.send(point("a", 1))
    back_up(world, file_address="y")
    finish()
    assert "at most 10 bytes" in job_of(world, "y.csv")["message"]
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10_000)
    monkeypatch.setattr(exports, "MAX_ROWS", 0)
    back_up(world, file_address="y")
    finish()
    assert "over 0 points" in job_of(world, "y.csv")["message"]
    assert not [*folder._root.rglob("*.part")]


def test_total_of_files_is_bounded(world, folder, monkeypatch):
    world.send(point("a", 1))
    back_up(world, file_address="x")
    finish()
    monkeypatch.setattr(files, "MAX_TOTAL_BYTES", folder.size(files.key_of(world.profile, "x.csv")) + 5)
    back_up(world, file_address="y")
    finish()
    assert "over" in job_of(world, "y.csv")["message"]
    back_up(world, file_address="x")
    finish()
    assert job_of(world, "x.csv")["status"] == "done", "it replaces itself"


def test_backup_counts_as_output_and_restore_not_as_input(sqlite, clock, folder):
    world = World()
    world.send(point("a", 1, time=DAY))
    back_up(world, file_address="x")
    finish()
    outputs.write()
    assert store.current().usage(world.profile).points_out == 10_000
    world.admin.post(f"/device/{world.device}/empty").result  # noqa: B018
    restore(world, "x")
    finish()
    usage = store.current().usage(world.profile)
    assert (usage.points_in, usage.records) == (1, 1)


def test_restore_needs_free_records(each_store, folder, configure):
    configure(plans='{"small": {"like": "unlimited", "quotas": {"data_records": 9999}}}', default_plan="small")
    world = World()
    put(folder, world, "x.csv", "variable\na\n")
    answer = restore(world, "x")
    assert answer.status == 402 and "10000 free" in answer.message


def test_files_of_another_profile_are_not_there(world, folder):
    other = World()
    put(folder, other, "x.csv", "variable\na\n")
    assert restore(world, "x").status == 404
    assert world.admin.get("/files/url", query={"path": "x"}).status == 404
    assert world.admin.get("/files").result == {"files": [], "folders": []}
    assert world.admin("DELETE", "/files", json_body=["x"]).result == "Successfully Removed"
    assert folder.size(files.key_of(other.profile, "x.csv")) is not None


def test_download_and_delete(world, folder):
    world.send(point("a", 1))
    back_up(world, file_address="a b")
    finish()
    url = world.admin.get("/files/url", query={"path": "/a b.csv"}).result["url"]
    assert f"/file/{world.profile}/a%20b.csv?expires=" in url
    (listed,) = world.admin.get("/files").result["files"]
    assert listed["size"] == folder.size(files.key_of(world.profile, "a b.csv"))
    assert world.admin("DELETE", "/files", json_body=["a b"]).result == "Successfully Removed"
    assert world.admin.get("/files").result["files"] == []
    assert world.admin.get("/files/url", query={"path": "a b"}).status == 404
    assert world.admin.post("/files/url", {"filename": "x", "size": 5}).status == 400
    assert world.admin.get("/files/url").status == 400


class Died(BaseException):
    """The process was cut off."""


class Power:
    """What writes need, and what can be cut before or after one of them."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.cut(0, "")

    def cut(self, number, when):
        """Cut it at the write of this number from now on."""
        self.left, self.when = number, when

    def feed(self, holder, name):
        """Let a method be a write."""
        call = getattr(holder, name)

        def write(*arguments, **more):
            self.left -= 1
            is_last = self.left == 0
            if is_last and self.when == "before":
                raise Died
            done = call(*arguments, **more)
            if is_last:
                raise Died
            return done

        self.monkeypatch.setattr(holder, name, write)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["backup", "restore"])
def test_process_that_dies_at_any_write_goes_on_where_it_was(sqlite, clock, folder, monkeypatch, kind, when):
    """On SQLite, and with a folder; tests/services/test_bucket.py is the same for AWS."""
    monkeypatch.setattr(imports, "BATCH_ROWS", 2)
    monkeypatch.setattr(host, "PART_BYTES", 60)
    world, power = World(), Power(monkeypatch)
    points = [point("a", number, time=f"{DAY}T10:00:0{number}.000Z") for number in range(5)]
    if kind == "backup":
        for sent in points:
            world.send(sent)
    else:
        put(folder, world, "x.csv", csv_of(*points))
    world.admin.post(f"/device/{world.device}/data/{kind}", {"file_address": "x"}).result  # noqa: B018
    for name in ("put", "put_if", "put_segments", "delete"):
        power.feed(sqlite, name)
    for name in ("begin", "put_part", "complete"):
        power.feed(folder, name)
    deaths, is_finished = 0, False
    while not is_finished:
        power.cut(deaths + 1, when)
        try:
            finish()
            is_finished = True
        except Died:
            deaths += 1
    assert deaths > 3 and job_of(world, "x.csv")["status"] == "done" and left_in(folder) == {"x.csv"}
    assert sorted(values(world.read(qty=20))) == [*range(5)]
    assert [one["value"] for one in points_of(get(world, "x.csv"))] == [*range(5)]


def test_backup_whose_parts_are_gone_fails_visibly(sqlite, clock, folder, monkeypatch):
    monkeypatch.setattr(host, "PART_BYTES", 60)
    world = World()
    for number in range(3):
        world.send(point("a", number, time=f"{DAY}T10:00:0{number}.000Z"))
    back_up(world, file_address="x")
    jobs.keep(jobs.do(jobs.waiting()[0]))
    folder.clear(world.profile)
    finish()
    assert (
        job_of(world, "x.csv")["status"] == "failed" and "begin the backup again" in job_of(world, "x.csv")["message"]
    )
    assert left_in(folder) == set()


def left_in(folder):
    return {path.name for path in folder._root.rglob("*") if path.is_file()}


def test_erased_device_takes_its_files_along(world, folder):
    world.send(point("a", 1))
    back_up(world, file_address="of device")
    finish()
    put(folder, world, "other.csv", "variable\na\n")
    back_up(world, file_address="begun")
    jobs.keep(jobs.do(jobs.waiting()[0]))
    world.admin.delete(f"/device/{world.device}").result  # noqa: B018
    erasures.resume()
    assert jobs.waiting() == []
    assert left_in(folder) == {"other.csv"}
    assert store.current().list(names.files(world.profile), names.ANY) == []


def test_erased_profile_takes_its_files_and_running_jobs_along(world, folder, clock):
    kept = World()
    put(folder, kept, "kept.csv", "variable\na\n")
    world.send(point("a", 1))
    back_up(world, file_address="of device")
    finish()
    put(folder, world, "in/a/folder.csv", "variable\na\n")
    restore(world, "in/a/folder")
    finish()
    put(folder, world, "of the operator.csv", "variable\na\n")
    back_up(world, file_address="begun")
    jobs.keep(jobs.do(jobs.waiting()[0]))
    assert any(name.endswith(".part") for name in left_in(folder))
    running = jobs.do(jobs.waiting()[0])
    profile_erasures.begin(profile=world.profile)
    for _ in range(2):
        clock.advance(erasures.SETTLED_S)
        erasures.resume()
        profile_erasures.resume()
    assert jobs.keep(running) is None, "a step that was under way writes nothing any more"
    assert jobs.waiting() == [] and left_in(folder) == {"kept.csv"}
    assert [path.name for path in folder._root.iterdir()] == [kept.profile]
    assert store.current().list(names.files(world.profile), names.ANY) == []


def test_step_of_a_restore_that_is_done_while_its_device_is_erased_stores_nothing(world, folder):
    put(folder, world, "x.csv", "variable\na\n")
    restore(world, "x")
    step = jobs.do(jobs.waiting()[0])
    assert step.prepared is not None
    world.admin.delete(f"/device/{world.device}").result  # noqa: B018
    assert jobs.keep(step) is None
    low, high = keys.key_bounds(keys.EARLIEST_MS, keys.LATEST_MS)
    assert store.current().drop_segments(world.device, low, high, profile=world.profile) == 0


def test_job_of_a_device_that_is_gone_ends(world):
    world.send(point("a", 1))
    back_up(world, file_address="x")
    entity = jobs.waiting()[0]
    world.admin.delete(f"/device/{world.device}").result  # noqa: B018
    store.current().put(entity)
    finish()
    assert jobs.waiting() == []


def test_job_that_fails_for_a_day_is_given_up(world, folder, clock, monkeypatch):
    world.send(point("a", 1))
    back_up(world, file_address="x")

    def fail(*_):
        raise errors.Unavailable

    monkeypatch.setattr(folder, "put_part", fail)
    with pytest.raises(errors.Unavailable):
        finish()
    clock.now_ms += jobs.GIVEN_UP_MS
    finish()
    assert job_of(world, "x.csv")["status"] == "failed"


def test_queue_that_does_not_answer_leaves_a_job_to_be_found(world, clock):
    def down(_device):
        raise errors.Unavailable

    queue.use(down)
    world.send(point("a", 1))
    back_up(world, file_address="x").result  # noqa: B018
    asked = Asked()
    queue.use(asked)
    assert jobs.remind() == 0, "it may be in the queue"
    clock.now_ms += jobs.REMINDED_MS
    assert jobs.remind() == 1 and asked.devices == [world.device]


def test_step_that_fails_unexpectedly_ends_the_job_visibly_and_no_other(world, monkeypatch):
    world.send(point("a", 1))
    back_up(world, file_address="x")

    def fail(*_):
        raise KeyError("nobody expects this")

    with monkeypatch.context() as patched:
        patched.setattr(exports, "step", fail)
        finish()
    job = job_of(world, "x.csv")
    assert (job["status"], job["message"]) == ("failed", "Internal error; the log holds the details")
    back_up(world, file_address="x").result  # noqa: B018
    finish()
    assert job_of(world, "x.csv")["status"] == "done"


@pytest.mark.parametrize("depth", [40, 300, 900, 5_000])
@pytest.mark.parametrize("number", ["1", "1.00000000000000000001"])
def test_restore_counts_metadata_that_is_nested_too_deeply(world, folder, depth, number):
    nested = "[" * depth + number + "]" * depth
    put(folder, world, "in.csv", f'variable,metadata\na,"{{""a"":{nested}}}"\nb,\n')
    restore(world, "in.csv")
    finish()
    job = job_of(world, "in.csv")
    assert (job["status"], job["points"], job["refused"]) == ("done", 1, 1)


def test_restore_passes_over_empty_lines_however_many(world, folder, monkeypatch):
    monkeypatch.setattr(imports, "BATCH_BYTES", 100)
    put(folder, world, "in.csv", "variable\n" + "\r\n" * 500 + "a\n" + "\n" * 500 + "-\n")
    restore(world, "in.csv")
    finish()
    job = job_of(world, "in.csv")
    assert (job["status"], job["points"], job["refused"]) == ("done", 1, 1)
    assert job["problems"][0].startswith("Line 1003:")


def test_step_of_a_restore_stores_nothing_if_the_device_was_erased_meanwhile(world, folder):
    put(folder, world, "in.csv", csv_of(point("a", 1, time="2026-09-21T10:00:00.000Z")))
    restore(world, "in.csv")
    step = jobs.do(jobs.waiting()[0])
    world.admin.delete(f"/device/{world.device}").result  # noqa: B018
    erasures.resume()
    assert jobs.keep(step) is None
    low, high = keys.key_bounds(keys.EARLIEST_MS, keys.LATEST_MS)
    assert [*store.current().scan_segments(world.device, low, high, newest_first=False, first_page=10)] == []


@pytest.mark.parametrize("steps", [0, 1])
def test_step_of_a_backup_leaves_no_file_if_the_device_was_erased_meanwhile(world, folder, monkeypatch, steps):
    world.send(point("a", 1))
    back_up(world, file_address="deep/er/x")
    for _ in range(steps):
        jobs.keep(jobs.do(jobs.waiting()[0]))
    entity, put_part, complete = jobs.waiting()[0], folder.put_part, folder.complete

    def erase(write, *given):
        if jobs.waiting():
            world.admin.delete(f"/device/{world.device}").result  # noqa: B018
            erasures.resume()
        return write(*given)

    monkeypatch.setattr(folder, "put_part", lambda *given: erase(put_part, *given))
    monkeypatch.setattr(folder, "complete", lambda *given: (complete(*given), erase(lambda: None)))
    jobs.keep(jobs.do(entity))
    assert [*folder._root.rglob("*")] == []


def test_backup_goes_on_if_its_folder_is_removed_meanwhile(world, folder, monkeypatch):
    put(folder, world, "f/other.csv", "")
    world.send(point("a", 1))
    back_up(world, file_address="f/x")
    begin = folder.begin

    def interrupted(*given):
        upload = begin(*given)
        world.admin("DELETE", "/files", json_body=["f/other.csv"]).result  # noqa: B018
        return upload

    monkeypatch.setattr(folder, "begin", interrupted)
    finish()
    assert job_of(world, "f/x.csv")["status"] == "done"


def test_two_jobs_do_not_use_a_file_that_one_of_them_writes(world, folder):
    second = devices.create(profile=world.profile, sent={"name": "Second"})["device_id"]
    put(folder, world, "in.csv", csv_of(point("a", 1)))
    world.send(point("a", 1))
    back_up(world, file_address="x")
    for verb, body in (("backup", {"file_address": "x"}), ("restore", {"file_address": "x.csv"})):
        if verb == "restore":
            put(folder, world, "x.csv", "")
        refused = world.admin.post(f"/device/{second}/data/{verb}", body)
        assert refused.status == 400 and "uses this file" in refused.message
    finish()
    restore(world, "in.csv")
    world.admin.post(f"/device/{second}/data/restore", {"file_address": "in.csv"}).result  # noqa: B018
    finish()
    assert job_of(world, "in.csv")["status"] == "done"


@pytest.mark.parametrize("address", ["a" * 201, "b/" + "a" * 197 + ".csv", "a" * 201 + "/b"])
def test_names_that_no_file_system_takes_are_refused(world, address):
    for answer in (back_up(world, file_address=address), restore(world, address)):
        assert answer.status == 400 and "200 characters" in answer.message
    assert world.admin("GET", "/files/url", query={"path": address}).status == 400
