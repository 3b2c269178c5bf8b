"""The build of the engine of payload parsers: what it is made of, and what it cannot do."""

import hashlib
import importlib.resources
from datetime import UTC, datetime
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import sandbox
from chalicelib.sandbox import engine
from guest import build, wasm, zones

ENGINE = wasmtime.Engine()
VENDOR = Path(build.__file__).with_name("vendor")
DIGESTS = {
    "base64-js": "829eadd8a1a441d25be0cb93b00e16a0d0c20fd294db95d8f2ed87e6954b7182",
    "buffer": "c25853fd31addfce188b01061fe85bfe667d5fb6c7a7bbb1c83d0ddfd8627acc",
    "dayjs": "0198dd0b1f760cded169c7e7ff7eaf56bc36c4c22c7c9b7c683e59437ed8700e",
    "dayjs-advancedFormat": "6f9ca609c4af60f2a03033e72dec5714f4f8e7b240381934040f547a0282463f",
    "dayjs-customParseFormat": "b199a58d0fbbdc519a072eb9b140a2ca3d4775ea1b054a0c0e5aeed86603c941",
    "dayjs-timezone": "3847eee9b494500ac874aea0e08fbeb759b5ec92fbe8d6cde967cd3818fc1bfb",
    "dayjs-utc": "7e01072e6f1f2e646506a083ccc500ed19c5a657a5a6645b3fafeccdf3ce9c0a",
    "ieee754": "fe3e2b20c1ebb57c3b390c8f685ad1e04e6f493517fa7e432f4351bb77a1a4d0",
}
"""SHA-256 of the files as their npm packages have them."""


@pytest.fixture(scope="module")
def machine():
    return engine.Machine()


def test_the_libraries_are_unchanged():
    assert {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")} == DIGESTS


def test_the_module_imports_nothing_and_exports_little(machine):
    assert machine.module.imports == []
    kinds = {each.name: each.type for each in machine.module.exports}
    assert kinds.keys() == {*build.USED, "now", "enter"}
    limits = kinds["memory"].limits
    assert limits.max == sandbox.MEMORY_BYTES // wasm.PAGE > limits.min


def test_a_build_is_done_when_a_source_has_changed(tmp_path, monkeypatch):
    built = []
    path = tmp_path / "guest.cwasm"
    monkeypatch.setattr(build, "build", lambda target: built.append(target) or path.write_bytes(b""))
    monkeypatch.setattr(sandbox, "path_of", lambda _: path)
    for _ in range(2):
        build.ensure("x")
    monkeypatch.setattr(build, "engine_module", lambda: b"another engine")
    for _ in range(2):
        build.ensure("x")
    path.unlink()
    build.ensure("x")
    assert built == ["x"] * 3


def test_a_build_for_another_processor_is_compiled_at_its_first_use(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "path_of", lambda name: tmp_path / name)
    monkeypatch.setattr(build, "boot_source", lambda: "(function () { return '{}'; })")
    path = build.build(sandbox.target("arm64" if sandbox.target().startswith("x86_64") else "x86_64"))
    assert path.read_bytes().startswith(b"\0asm")
    monkeypatch.setattr(engine, "path_of", lambda _: path)
    assert engine.Machine().module.imports == []


@pytest.mark.parametrize(
    ("machine_name", "target"),
    [
        ("x86_64", "x86_64-unknown-linux-gnu"),
        ("arm64", "aarch64-unknown-linux-gnu"),
        ("AMD64", "x86_64-unknown-linux-gnu"),
    ],
)
def test_targets_of_functions(machine_name, target):
    assert sandbox.target(machine_name) == target


@given(st.integers(0, 2**64), st.integers(-(2**31), 2**31 - 1))
def test_numbers_in_leb128(unsigned, signed):
    assert wasm.Reader(wasm.number(unsigned)).number() == unsigned
    constant = wasm.vector([b"\x7f\0\x41" + wasm.signed(signed) + b"\x0b"])
    exports = wasm.write_exports([wasm.Export("x", 3, 0)])
    store = wasmtime.Store(ENGINE)
    module = wasmtime.Module(ENGINE, wasm.assemble({wasm.GLOBAL: constant, wasm.EXPORT: exports}))
    assert wasmtime.Instance(store, module, []).exports(store)["x"].value(store) == signed


def test_modules_that_are_not_as_expected_are_refused():
    with pytest.raises(ValueError, match="not a WebAssembly module"):
        wasm.sections(b"\0asm\2\0\0\0")
    with pytest.raises(ValueError, match="memory is not a function"):
        wasm.imports(wasm.vector([wasm.sized(b"env") + wasm.sized(b"memory") + b"\2\0\1"]))
    with pytest.raises(ValueError, match="not of a function"):
        wasm.results(wasm.vector([b"\x5f\0"]))
    with pytest.raises(ValueError, match="script failed"):
        build.freeze(build.engine_module(), "throw 1")


def test_parts_of_a_memory_that_are_not_zero():
    memory = bytes(8) + b"a" + bytes(3) + b"b" * 4 + bytes(4) + b"c" * 4
    assert [*wasm.runs(memory, 4)] == [(8, b"a\0\0\0bbbb"), (20, b"cccc")]
    assert [*wasm.runs(memory[:16], 4)] == [(8, b"a\0\0\0bbbb")]


def test_every_zone_is_packed_or_an_alias():
    packed = zones.packed()
    assert len(packed) > 500
    assert all("|" in text or "|" in packed[text] for text in packed.values())
    assert packed["Etc/GMT+3"] == "-10800|"
    assert packed["America/New_York"].startswith("-18000,EST -14400,EDT|")


def zone_of(name):
    return zones.read(importlib.resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes())


@given(
    st.sampled_from(["Europe/Paris", "America/St_Johns", "Asia/Kolkata", "Africa/Casablanca", "Australia/Lord_Howe",
                     "America/Sao_Paulo", "Pacific/Apia", "Asia/Tehran", "Antarctica/Troll", "UTC"]),
    st.datetimes(datetime(1970, 1, 2), datetime(2069, 12, 31)),
)  # fmt: skip
def test_local_times_are_those_of_the_zone_data(zone, moment):
    at = moment.replace(microsecond=0, tzinfo=UTC)
    source = """
      const parts = {};
      const format = { timeZone: payload[0], hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric",
        hour: "numeric", minute: "numeric", second: "numeric" };
      for (const { type, value } of new Intl.DateTimeFormat("en-US", format).formatToParts(payload[1])) parts[type] = +value;
      payload = [parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second];
    """
    given_ = f'["{zone}", {int(at.timestamp() * 1000)}]'
    output = sandbox.run(source, payload=given_, raw_payload="null", device="null", budget=sandbox.Budget())
    assert output.payload == str([*at.astimezone(zone_of(zone)).timetuple()[:6]]).replace(" ", "")
