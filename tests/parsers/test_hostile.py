"""Scripts that mean harm: each ends soon and with an error, others can work meanwhile, and nothing is left of it."""

import threading
import time
from pathlib import Path

import pytest

from chalicelib import sandbox
from tests.kit.scripts import run
from tests.parsers import hostile

SHORT_S = 0.03
"""The processor time that most scripts get here, as the point is only that they end."""
END_S = 2.0
"""How long a script may take in all, with the limits of the API."""
GAP_S = 0.025
"""How long a script may keep another thread of the process waiting."""
MEMORY_MB = 12
"""How much larger the process may be after all scripts."""

FINGERPRINT = """
const seen = [];
function addAll(object) {
  if (object === null || (typeof object !== "object" && typeof object !== "function")) return;
  seen.push(Object.isFrozen(object), Object.isExtensible(object));
  for (const key of Reflect.ownKeys(object)) {
    const { value, get, set, writable } = Object.getOwnPropertyDescriptor(object, key);
    const kind = typeof value;
    seen.push(String(key), kind, typeof get, typeof set, writable);
    if (kind === "function") seen.push(value.name, String(value).length);
    else if (kind !== "object") seen.push(String(value));
  }
}
const names = Object.getOwnPropertyNames(globalThis).sort();
for (const name of names) {
  addAll(globalThis[name]);
  if (globalThis[name]) addAll(globalThis[name].prototype);
}
seen.push(typeof Error.prepareStackTrace, Error.stackTraceLimit);
payload = seen.join();
"""
"""Writes down all that a script finds when it begins."""


def small():
    return sandbox.Budget(cpu_s=SHORT_S, wall_s=END_S)


@pytest.fixture(scope="module")
def clean():
    """What a script finds, before any hostile one has run."""
    return run(FINGERPRINT).payload


@pytest.mark.parametrize("name", hostile.ALL)
def test_script_ends_with_an_error_and_leaves_nothing(name, clean):
    started_s = time.monotonic()
    with pytest.raises(sandbox.Failed) as failed:
        run(hostile.ALL[name], {"variable": "x", "value": 1}, budget=small())
    assert time.monotonic() - started_s < END_S
    error = failed.value
    assert len(error.text.splitlines()) == 1 and len(error.text) <= 1_200, error.text[:200]
    assert error.line is None or error.line >= 1
    assert len(error.log) <= 100 and all(len(line) <= 1_000 for line in error.log)
    assert run(FINGERPRINT).payload == clean


class Ticker:
    """A thread that wants to work every millisecond, and remembers the longest time that it could not."""

    def __enter__(self):
        self.longest_s, self._is_over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._tick)
        self._thread.start()
        return self

    def _tick(self):
        last_s = time.monotonic()
        while not self._is_over.wait(0.001):
            now_s = time.monotonic()
            self.longest_s, last_s = max(self.longest_s, now_s - last_s), now_s

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()


@pytest.mark.parametrize("name", hostile.SLOWEST)
def test_worst_scripts_end_by_the_limits_of_the_api_and_do_not_hold_the_process(name, clean):
    with Ticker() as ticker:
        started_s, cpu_s = time.monotonic(), time.process_time()
        with pytest.raises(sandbox.Failed) as failed:
            run(hostile.ALL[name])
        took_s, cpu_s = time.monotonic() - started_s, time.process_time() - cpu_s
    assert took_s < END_S, failed.value.text
    assert cpu_s < sandbox.CPU_S + 0.25
    assert ticker.longest_s < 4 * GAP_S, "the lock of the interpreter was held"
    assert run(FINGERPRINT).payload == clean


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096 / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system has no /proc")
def test_memory_is_back_at_its_level():
    levels = []
    for _ in range(3):
        for source in hostile.ALLOCATION.values():
            with pytest.raises(sandbox.Failed):
                run(source, budget=small())
        levels.append(resident_mb())
    assert levels[2] - levels[0] < MEMORY_MB, levels


def test_scripts_that_loop_do_not_keep_another_waiting_for_ever():
    failures = []

    def loop():
        try:
            run("for (;;);", budget=small())
        except sandbox.Failed as error:
            failures.append(error)

    threads = [threading.Thread(target=loop) for _ in range(4)]
    started_s = time.monotonic()
    for thread in threads:
        thread.start()
    assert run("payload = 1").payload == 1
    for thread in threads:
        thread.join()
    assert len(failures) == 4 and time.monotonic() - started_s < END_S


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loop: while", "1 s"), ("allocation: array that grows", "memory"), ("output: too many points", "200,000 bytes"),
        ("recursion: function", "Maximum call stack size exceeded"), ("error: symbol", "Payload Parser Terminated Unexpectedly"),
        ("code: require", "ReferenceError"), ("code: syntax error", "SyntaxError"),
    ],
)  # fmt: skip
def test_error_says_which_rule_refused(name, expected):
    budget = sandbox.Budget() if expected == "1 s" else sandbox.Budget(cpu_s=30, wall_s=60)
    with pytest.raises(sandbox.Failed) as failed:
        run(hostile.ALL[name], budget=budget)
    assert expected in failed.value.text


def test_log_of_a_script_is_cut():
    log = run("for (let i = 0; i < 500; i++) console.log(i, 'x'.repeat(5000)); payload = []").log
    assert len(log) <= 100 and {len(line) for line in log[:99]} == {1_000} and log[0].startswith("0 x")


def test_nothing_of_the_machine_can_be_reached():
    names = "require process std os fetch XMLHttpRequest Deno Bun WebAssembly setTimeout setInterval importScripts Worker navigator"
    source = f"payload = '{names}'.split(' ').filter((name) => typeof globalThis[name] !== 'undefined')"
    assert run(source).payload == []
