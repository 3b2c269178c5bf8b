"""Runs of payload parsers: what they see, what they give back, and where they end."""

import json
import threading
import time

import pytest

from chalicelib import sandbox
from chalicelib.sandbox import Budget, Failed, engine


def run(source, payload=(), *, device=None, budget=None, has_serial=False):
    text = json.dumps(payload)
    budget = budget or Budget()
    return sandbox.run(
        source, payload=text, raw_payload=text, device=json.dumps(device), budget=budget, has_serial=has_serial
    )


def value(source, payload=(), **more):
    return json.loads(run(source, payload, **more).payload)


def refusal(source, payload=(), **more):
    with pytest.raises(Failed) as caught:
        run(source, payload, **more)
    return caught.value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("payload = payload.map(p => p * 2)", [2, 4]),
        ("payload.push(3)", [1, 2, 3]),
        ("", [1, 2]),
        ("payload = {variable: 'a'}; return; payload = 1", {"variable": "a"}),
        ("payload = [1]; return 5", [1]),
        ("var payload = ['var']; // a comment at the end", ["var"]),
        ("'use strict'; undeclared = 7; payload = undeclared", 7),
        ("for (i = 0; i < 3; i++) payload.push(i)", [1, 2, 0, 1, 2]),
        ("let raw_payload = 1, device = 2; const Buffer = 3; payload = raw_payload + device + Buffer", 6),
        ("function Buffer() { this.mine = true } payload = new Buffer()", {"mine": True}),
        ("payload = raw_payload === payload", False),
        ("payload[0] = 9; payload = raw_payload", [1, 2]),
        ("payload = this === globalThis", True),
        ("payload = null", None),
        ("payload = undefined", None),
        ("payload = function () {}", None),
        ("payload = [NaN, undefined, new Date(0), 'é', '\\ud800']", [None, None, "1970-01-01T00:00:00.000Z", "é", "\ud800"]),
        ("payload = Buffer.from('0aFF', 'hex').readUInt16BE(0)", 0x0AFF),
        ("payload = new Buffer([1, 2]).toString('base64')", "AQI="),
        ("payload = Buffer.alloc(8).readBigUInt64LE(0).toString()", "0"),
        ("payload = BigInt.asUintN(64, -1n).toString()", "18446744073709551615"),
        ("payload = [5n, {a: -1n}]", [5, {"a": -1}]),
        ("payload = dayjs(1700000000000).toISOString()", "2023-11-14T22:13:20.000Z"),
        ("payload = timeUtils.utc('05/12/1999', 'DD/MM/YYYY').format('Do MMM YYYY')", "5th Dec 1999"),
        ("payload = dayjs.tz('2024-07-01 10:00', 'Europe/Paris').toISOString()", "2024-07-01T08:00:00.000Z"),
        ("payload = dayjs.utc('2024-01-15 12:00').tz('America/New_York').format('HH:mm z Z')", "07:00 EST -05:00"),
        ("payload = dayjs.tz.guess()", "UTC"),
        ("payload = new Date(0).toLocaleString()", "1/1/1970, 12:00:00 AM"),
        ("payload = new Date(0).toLocaleDateString('pt-BR', {month: 'long', day: 'numeric', year: 'numeric'})", "January 1, 1970"),
        ("payload = new Date(0).toLocaleTimeString('en-US', {timeZone: 'asia/kolkata', hour12: false})", "05:30:00"),
        ("payload = new Date(0).toLocaleString('en-US', {weekday: 'short', month: 'short', year: 'numeric'})", "Thu, Jan 1970"),
        ("payload = new Date(0).toLocaleString('en-US', {year: '2-digit', timeZoneName: 'short'})", "70 UTC"),
        ("payload = new Date(0).toLocaleString('en-US', {day: '2-digit', weekday: 'long', hour: 'numeric'})", "Thursday, 01, 12 AM"),
        ("payload = new Date(0).toLocaleString('en-US', {minute: '2-digit', second: 'numeric'})", "00:00"),
        ("payload = new Date(0).toLocaleString('en-US', {second: '2-digit'})", "00"),
        ("payload = new Date(NaN).toLocaleString()", "Invalid Date"),
        ("payload = new Intl.DateTimeFormat().format(0)", "1/1/1970"),
        ("payload = new Intl.DateTimeFormat('en', {dateStyle: 'short'}).format(0)", "1/1/1970"),
        ("payload = Intl.DateTimeFormat.supportedLocalesOf('fr')", ["en-US"]),
        ("payload = String(new Date(0))", "Thu Jan 01 1970 00:00:00 GMT+0000"),
        ("payload = [typeof require, typeof process, typeof setTimeout, typeof fetch, typeof std, typeof os]", ["undefined"] * 6),
        ("payload = typeof serial", "undefined"),
    ],
)  # fmt: skip
def test_what_a_parser_makes(source, expected):
    assert value(source, [1, 2]) == expected


def test_the_device_and_the_serial():
    device = {"id": "5", "tags": [{"key": "a", "value": "b"}], "params": []}
    assert value("payload = device", device=device) == device
    assert run("serial = payload[0].s", [{"s": 12}], has_serial=True).serial == "12"
    assert run("var serial = 'x'; return", has_serial=True).serial == "x"
    assert run("payload = []", has_serial=True).serial is None


@pytest.mark.parametrize(
    ("source", "text", "line"),
    [
        ("\n\nfoo.bar()", "ReferenceError: foo is not defined", 3),
        ("payload = 1 }", "SyntaxError", 1),
        ("if (payload) {\n payload = [];", "SyntaxError", 2),
        ("payload = 1;\n/* never closed", "SyntaxError", 2),
        ("const e = new Error('x'); e.stack = '<input>:' + '9'.repeat(40); throw e", "Error: x", None),
        ("const e = new Error('x'); e.stack = '<input>:0'; throw e", "Error: x", None),
        ("new Intl.DateTimeFormat('en', {timeZone: 'constructor'})", "RangeError: Invalid time zone", 1),
        ("}); globalThis.big = new Uint8Array(2e7).fill(1); (function (payload, keep) { keep(arguments);", "The parser uses too much memory before it runs", None),
        ("var a = 1;\n  foo bar", "SyntaxError: expecting ';'", 2),
        ("\nfunction f() { Buffer.from('00', 'hex').readUInt32BE(3) }\nf()", "RangeError: ", 2),
        ("throw 'a text'", "Payload Parser Terminated Unexpectedly: a text", None),
        ("throw undefined", "Payload Parser Terminated Unexpectedly", None),
        ("throw {code: 5}", 'Payload Parser Terminated Unexpectedly: {"code":5}', None),
        ("throw new TypeError('two\\nlines')", "TypeError: two lines", 1),
        ("class Mine extends Error {}; throw new Mine('x')", "Error: x", 1),
        ("function f() { f() } f()", "RangeError: Maximum call stack size exceeded", None),
        ("const x = {};\nlet y = [1].map(() => 2);\n\nx.calibration.offset", "TypeError: cannot read property 'offset' of", 4),
        ("const x = {};\nx.calibration.offset = 1;", "TypeError: cannot set property 'offset' of", 2),
        ("payload = {}; payload.a = payload", "TypeError: circular reference", None),
        ("var a = []; for (;;) a.push(new Uint8Array(1e6))", "InternalError: out of memory", 1),
        ("payload = 'x'.repeat(200001)", "The parser's output has over 200,000 bytes", None),
        ("payload = 'x'.repeat(3000000)", "The parser's output has over 200,000 bytes", None),
        ("payload = 'é'.repeat(150000)", "The parser's output has over 200,000 bytes", None),
        ("new Intl.DateTimeFormat('en', {timeZone: 'Mars/Base'})", "RangeError: Invalid time zone specified: Mars/Base", 1),
        ("new Intl.DateTimeFormat().format(NaN)", "RangeError: Invalid time value", 1),
        ("throw {get name() { throw 1 }, toJSON() { throw 2 }}", "Payload Parser Terminated Unexpectedly: (a value", None),
        ("}); (function () {", "SyntaxError: Unexpected end", None),
    ],
)  # fmt: skip
def test_why_a_parser_fails(source, text, line):
    failed = refusal(source)
    assert failed.text.startswith(text)
    assert failed.line == line
    assert "\n" not in failed.text and len(failed.text) < 1100


@pytest.mark.parametrize("content", [None, b"", b"\0asm", b"\x7fELF"])
def test_an_engine_that_is_not_there_or_of_another_version(monkeypatch, tmp_path, content):
    path = tmp_path / "guest"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(engine, "path_of", lambda _: path)
    monkeypatch.setattr(engine._runner, "_machines", [])
    with pytest.raises(sandbox.Missing, match=r"run python -m guest\.build"):
        run("payload = 1")


def test_the_console():
    source = """
      console.log("a", 1, null, undefined, {b: [1]}, 5n, new Error("e"), Symbol("s"), () => 1);
      console.debug("d"); console.error("e"); console.info("i");
      console.log({toJSON() { throw 1 }});
      for (let i = 0; i < 200; i++) console.log("x".repeat(3000));
    """
    log = run(source).log
    assert log[0].startswith('a 1 null undefined {"b":[1]} 5n Error: e Symbol(s) ')
    assert log[1:5] == ("d", "e", "i", "(a value that cannot be shown)")
    assert len(log) == 100 and log[-1] == "x" * 1000
    assert refusal("console.log('before'); throw new Error('x')").log == ("before",)


@pytest.mark.parametrize("source", ["for (;;);", "new Uint8Array(2e7); for (;;) new Uint8Array(1e6).reverse()"])
def test_the_processor_time_ends_a_run(source):
    budget = Budget(0.05, 5)
    assert refusal(source, budget=budget).text.startswith("The parser takes too long")
    assert budget.cpu_s <= 0
    assert refusal("payload = 1; for (;;);", budget=budget).text.startswith("The parser takes too long")


def test_the_wall_clock_ends_a_run():
    assert refusal("for (;;);", budget=Budget(9, 0.05)).text.startswith("The parser takes too long")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.sys, "platform", "darwin")  # which has no clock of another thread's processor time
        assert refusal("for (;;);", budget=Budget(0.01, 0.05)).text.startswith("The parser takes too long")


def test_the_default_budget():
    budget = Budget()
    assert (budget.cpu_s, budget.wall_s) == (1.0, 1.8)
    run("for (let i = 0; i < 1e5; i++);", budget=budget)
    assert budget.cpu_s < 1.0 and budget.wall_s < 1.8


def test_two_run_at_once_and_each_only_ends_its_own():
    results = {}

    def work(name, source, budget):
        results[name] = refusal(source, budget=budget).text if "for" in source else value(source)

    threads = [
        threading.Thread(target=work, args=(f"endless {n}", "for (;;);", Budget(0.05 * (n + 1), 5))) for n in range(3)
    ] + [threading.Thread(target=work, args=(f"short {n}", f"payload = {n}", Budget(5, 60))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[f"short {n}"] for n in range(20)] == [*range(20)]
    assert all("too long" in results[f"endless {n}"] for n in range(3))


def test_nothing_is_left_of_a_run():
    source = """
      const before = [globalThis.mine, Array.prototype.mine, typeof JSON.parse, payload.length];
      globalThis.mine = 1; Array.prototype.mine = 2; JSON.parse = null; delete globalThis.Buffer; Math.random = () => 1;
      payload = before;
    """
    assert value(source) == value(source) == [None, None, "function", 0]
    assert value("payload = [globalThis.mine, typeof Buffer]") == [None, "function"]


def test_random_numbers_differ_between_runs_and_the_clock_stands_still():
    source = "payload = [Math.random(), Math.random()]"
    first, second = value(source), value(source)
    assert len({*first, *second}) == 4
    assert all(0 <= number < 1 for number in first + second)
    moment, passed = value("const a = Date.now(); for (let i = 0; i < 1e5; i++); payload = [a, Date.now() - a]")
    assert passed == 0 and abs(moment / 1000 - time.time()) < 60


def test_random_numbers_of_what_is_sent_again_are_the_same():
    source = "payload = [Math.random(), Math.random()]"

    def drawn(payload, now_ms):
        return sandbox.run(
            source, payload=payload, raw_payload="1", device="null", budget=Budget(), now_ms=now_ms
        ).payload

    assert drawn("1", 1000) == drawn("1", 1000)
    assert len({drawn("1", 1000), drawn("2", 1000), drawn("1", 1001)}) == 3


def test_a_budget_is_starved_if_only_the_wall_clock_ran_out():
    assert Budget(cpu_s=0.9, wall_s=0).is_starved and not Budget(cpu_s=0.1, wall_s=0).is_starved
    assert not Budget(cpu_s=0.9, wall_s=0.1).is_starved


def test_changed_builtins_do_not_mislead_the_host():
    assert (
        value("Array.prototype.toJSON = () => 1; Object.prototype.toJSON = () => 2; console.log('x'); payload = 'y'")
        == "y"
    )
    assert value("JSON.stringify = () => '5'; String.prototype.slice = null; payload = [1]") == [1]
    assert value("Object.defineProperty(Object.prototype, 'error', {set() {}, get: () => 'x'}); payload = 1") == 1
    assert refusal("Error.prototype.name = {toString() { for (;;); }}; throw new Error('x')", budget=Budget(0.05, 1))
    assert run(
        "Array.prototype.push = null; Object.defineProperty(Array.prototype, '0', {set() {}}); console.log('x')"
    ).log == ("x",)


def test_compiled_parsers_are_kept_within_a_limit(monkeypatch):
    runner = engine.Runner()
    compiled = []
    original = engine._difference
    monkeypatch.setattr(engine, "_difference", lambda *both: compiled.append(1) or original(*both))

    def go(source):
        return runner.run(
            source, 'R{"seed":[1,2,3],"payload":1,"raw_payload":1,"device":null}', Budget(), has_serial=False
        )

    for _ in range(3):
        go("payload = 1")
    assert len(compiled) == 1
    with pytest.raises(Failed):
        go("a syntax error")
    monkeypatch.setattr(engine, "CACHE_BYTES", runner.kept_bytes + 1000)
    go("payload = 2")
    assert len(compiled) == 2 and runner.kept_bytes <= engine.CACHE_BYTES
    go("payload = 1")
    assert len(compiled) == 3


def test_a_broken_guest_is_a_failed_parser(monkeypatch):
    monkeypatch.setattr(engine.Guest, "enter", lambda *_: b"[]")
    assert "broke the engine" in refusal("payload = 'never compiled before'").text


def test_the_watch_rests_when_nothing_runs(monkeypatch):
    monkeypatch.setattr(engine, "_IDLE_S", 0.02)
    machine = engine.Machine()
    with machine.limited(Budget()):
        assert machine.is_watched
    end = time.monotonic() + 5
    while machine.is_watched and time.monotonic() < end:
        threading.Event().wait(0.01)
    assert not machine.is_watched
    with pytest.raises(engine.wasmtime.Trap), machine.limited(Budget(0.05, 1)):
        guest = engine.Guest(machine)
        guest.enter("Cfor (;;);")
        guest.enter('R{"seed":[1,2,3],"payload":1,"raw_payload":1,"device":null}')


def test_texts_with_half_a_surrogate_pair_are_answered():
    found = run("console.log('\\ud800'); payload = '\\udc00'")
    assert found.log == ("?",) and json.loads(found.payload) == "\udc00"
    assert refusal("throw new Error('\\ud800')").text == "Error: ?"


def test_clock_stands_still_where_it_is_set():
    text = (
        "const start = Date.now(); for (let i = 0; i < 1e5; i++); payload = [start, Date.now(), new Date().getTime()]"
    )
    found = sandbox.run(text, payload="1", raw_payload="1", device="1", budget=Budget(), now_ms=1_700_000_000_123)
    assert json.loads(found.payload) == [1_700_000_000_123] * 3
