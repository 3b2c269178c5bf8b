"""``import --from-tagoio``: a second Decant stands for TagoIO."""

import base64
import csv
import json
import signal

import pytest

from tests.program import Program
from tests.transfer.conftest import Site, some

DECODER = base64.b64encode(b"payload = [{ variable: 'parsed', value: 1 }]").decode()


def started(folder):
    """Start a server without devices."""
    site = Site(Program(folder))
    (device,) = site.call("GET", "/device")
    site.call("DELETE", f"/device/{device['id']}")
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The server that stands for TagoIO."""
    site = started(tmp_path_factory.mktemp("tagoio"))
    yield site
    site.program.stop()


@pytest.fixture
def tagoio(site):
    """Return a function that makes a device at TagoIO. All of them are deleted at the end."""

    def make(name, points, tokens=(), params=(), **more):
        device, token = site.device(name=name, **more)
        for start in range(0, len(points), 1_000):
            site.call("POST", "/data", points[start : start + 1_000], token)
        for wanted in tokens:
            site.call("POST", "/device/token", {"device": device, **wanted})
        if params:
            site.call("POST", f"/device/{device}/params", list(params))
        return device

    yield make
    for device in site.call("GET", "/device?amount=1000"):
        site.call("DELETE", f"/device/{device['id']}")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The server that gets the copies."""
    site = started(tmp_path_factory.mktemp("other"))
    yield site
    site.program.stop()


@pytest.fixture
def copy(run, site, other):
    """Run the command; ``url`` is TagoIO's."""

    def do(*arguments, url=site.url, to=other.url):
        return run(
            "import", "--from-tagoio", "--tagoio-url", url, *arguments, url=to, token=other.token, TAGOIO_TOKEN=site.token
        )  # fmt: skip

    yield do
    for device in other.call("GET", "/device?amount=1000"):
        other.call("DELETE", f"/device/{device['id']}")


def copy_of(other, device):
    """Return the only copy of a device."""
    (found,) = other.call("GET", f"/device?filter[tags][0][key]=tagoio_id&filter[tags][0][value]={device}")
    return other.call("GET", f"/device/{found['id']}")


def tokens(path):
    return [*csv.DictReader(path.read_text().splitlines())]


def test_device_comes_with_tags_tokens_parameters_and_points(site, other, tagoio, copy, tmp_path):
    points = some(1_200) + [{"variable": "note", "value": "ü", "group": "g", "time": "2026-11-01T01:00:00.000Z",
        "location": {"type": "Point", "coordinates": [13.25, 52.5, 30]}, "metadata": {"a": [1, None]}, "unit": "C"}]  # fmt: skip
    device = tagoio(
        "Boiler", points, tokens=[{"name": "reader", "permission": "read", "serie_number": "AB12"}, {"name": "reader", "permission": "full"}],
        params=[{"key": "mode", "value": "eco", "sent": True}, {"key": "mode", "value": "max"}],
        tags=[{"key": "site", "value": "roof"}], description="In the cellar", visible=False,
    )  # fmt: skip
    site.call("PUT", f"/device/{device}", {"active": False, "payload_decoder": DECODER, "rpm": {"data_input": 1}})
    done = copy()
    assert done.returncode == 0, done.stderr
    assert "1,201 points stored" in done.stderr and "The new tokens are in tagoio-import/tokens.csv" in done.stderr
    made = copy_of(other, device)
    assert made["tags"] == [{"key": "site", "value": "roof"}, {"key": "tagoio_id", "value": device}]
    kept = ("name", "description", "active", "visible", "payload_decoder", "type", "rpm")
    assert [made[name] for name in kept] == [
        "Boiler",
        "In the cellar",
        False,
        False,
        DECODER,
        "mutable",
        {"data_input": 1},
    ]
    params = [
        (param["key"], param["value"], param["sent"]) for param in other.call("GET", f"/device/{made['id']}/params")
    ]
    assert sorted(params) == [("mode", "eco", True), ("mode", "max", False)]
    other.call("PUT", f"/device/{made['id']}", {"active": True})
    assert other.points(made["id"]) == points
    path = tmp_path / "tagoio-import/tokens.csv"
    assert path.stat().st_mode & 0o777 == 0o600
    found = tokens(path)
    assert sorted((row["token_name"], row["permission"], row["serial"]) for row in found) == [
        ("Default", "full", ""), ("reader", "full", ""), ("reader", "read", "AB12")
    ]  # fmt: skip
    assert all(other.call("GET", "/info", token=row["token"])["id"] == row["device"] == made["id"] for row in found)


@pytest.mark.parametrize("fate", ["before", "after"])
@pytest.mark.parametrize(
    ("method", "path", "at"),
    [
        ("POST", "/device", 0), ("POST", "/device", 1), ("POST", "/device/token", 1), ("POST", "/data", 0),
        ("POST", "/data", 2), ("POST", "/data", 4),
    ],
)  # fmt: skip
def test_after_a_kill_it_resumes_and_nothing_is_doubled(
    site, other, tagoio, copy, run, proxy, tmp_path, method, path, at, fate
):
    points, token = some(2_500), {"name": "second", "permission": "full"}
    devices = [tagoio(name, points, [token], [{"key": "a", "value": 1}]) for name in ("one", "two")]
    more = [{"variable": "late", "value": 1, "time": "2026-11-05T00:00:00.000Z", "group": "g"}]

    def on(number, called, where):
        if (called, where, number) == (method, path, at):
            run.kill()
            return fate
        return None

    proxy.target, proxy.on = other.url, on
    assert copy(to=proxy.url).returncode == -signal.SIGKILL
    for device in devices:  # TagoIO goes on meanwhile
        (text,) = {token["token"] for token in site.call("GET", f"/device/token/{device}") if token["name"] == "second"}
        site.call("POST", "/data", more, text)
    done = copy(to=proxy.url)
    assert done.returncode == 0, done.stderr
    for device in devices:
        made = copy_of(other, device)["id"]
        assert other.points(made) == points + more
        assert sorted(token["name"] for token in other.call("GET", f"/device/token/{made}")) == ["Default", "second"]
        assert len(other.call("GET", f"/device/{made}/params")) == 1
    assert len(tokens(tmp_path / "tagoio-import/tokens.csv")) == 4


def test_further_run_copies_only_what_is_new(site, other, tagoio, copy, proxy):
    device = tagoio("Boiler", some(10))
    assert "10 points stored" in copy().stderr
    (text,) = [token["token"] for token in site.call("GET", f"/device/token/{device}")]
    site.call("POST", "/data", some(12)[10:], text)
    proxy.target = other.url
    done = copy()
    assert done.returncode == 0 and "2 points stored" in done.stderr
    assert other.points(copy_of(other, device)["id"]) == some(12)
    assert copy().stderr.endswith("0 points stored\n")


def test_what_is_refused_is_listed_and_the_others_are_copied(site, other, tagoio, copy, proxy, tmp_path):
    refused, old = tagoio("refused", some(1)), tagoio("old", some(3))
    whole = tagoio("kept", some(2), type="immutable", chunk_period="month", chunk_retention=36)

    def on(number, method, path):
        is_bad = (method, path) == ("POST", "/device") and b'"refused"' in proxy.calls[-1][3]
        return (400, {}, b'{"status": false, "message": "No such type"}') if is_bad else None

    proxy.target, proxy.on = other.url, on
    done = copy("--start", "2026-11-01 00:00:01", "--only", refused, "--only", old, "--only", whole, to=proxy.url)
    assert done.returncode == 3 and "3 points stored; 1 refused, listed in tagoio-import/errors.csv" in done.stderr
    assert (tmp_path / "tagoio-import/errors.csv").read_text() == f"{refused},refused,No such type (400)\n"
    assert other.count(copy_of(other, old)["id"]) == 2 and copy_of(other, whole)["type"] == "immutable"


def test_only_chosen_devices_are_copied(other, tagoio, copy):
    chosen, _ = tagoio("one", some(1)), tagoio("two", some(1))
    assert "1 device copied" in copy("--only", chosen).stderr
    assert len(other.call("GET", "/device?filter[tags][0][key]=tagoio_id")) == 1
    done = copy("--only", "0" * 24)
    assert done.returncode == 1 and f"TagoIO has no device {'0' * 24} in this profile" in done.stderr


def test_rates_of_tagoio_are_respected(other, tagoio, copy, proxy):
    device = tagoio("Boiler", some(10))
    busy = (429, {"Retry-After": "0"}, b'{"status": false, "message": "Too many requests (Retry-After: 0)"}')
    proxy.on = lambda number, method, path: busy if number == 0 else None
    assert copy(url=proxy.url).returncode == 0
    assert other.points(copy_of(other, device)["id"]) == some(10)


def test_names_of_tagoio_run_neither_in_a_spreadsheet_nor_in_the_terminal(other, tagoio, copy, tmp_path):
    tagoio("=cmd|' /C calc'!A0 \x1b[2J", some(1))
    done = copy()
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr
    with (tmp_path / "tagoio-import/tokens.csv").open(newline="") as file:
        assert {row["device_name"][:5] for row in csv.DictReader(file)} == {"'=cmd"}


def test_id_that_leads_out_of_the_folder_ends_the_copy(other, copy, proxy, tmp_path):
    device = {"id": "../evil", "name": "x", "type": "mutable", "tags": []}
    proxy.on = lambda *_: (200, {}, json.dumps({"status": True, "result": [device]}).encode())
    done = copy(url=proxy.url)
    assert done.returncode == 1 and "no id of a device" in done.stderr
    assert [path.name for path in tmp_path.rglob("*.state")] == []


@pytest.mark.parametrize("result", [None, 1, "x", [1], [{}], {"a": 1}])
def test_answers_that_are_not_understood_are_said_in_one_line(other, copy, proxy, result):
    proxy.on = lambda *_: (200, {}, json.dumps({"status": True, "result": result}).encode())
    done = copy(url=proxy.url)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "not understood" in done.stderr
