"""The engine of payload parsers. Import it only to run one: it loads wasmtime."""

import contextlib
import ctypes
import hashlib
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import wasmtime
from pydantic import BaseModel

from chalicelib.codec import jsontext
from chalicelib.host import clock
from chalicelib.sandbox import (
    MAX_LINE_CHARS,
    MAX_LINES,
    MAX_OUTPUT_BYTES,
    RUNS,
    Budget,
    Failed,
    Missing,
    Output,
    path_of,
    target,
)

CACHE_BYTES = 32_000_000
"""How much of the memory of compiled parsers is kept."""
MAX_GROWTH_BYTES = 6_000_000
"""How much more memory a source may use when it is compiled, before it runs. 64 kB of functions use less than 2 MB."""
_PAGE = 4096
_WASM_PAGE = 65_536
_ROOM_BYTES = 8
"""What ``enter`` needs before its text; see guest/build.py."""
_TICK_S = 0.01
_IDLE_S = 1.0
_STACK_BYTES = 2_000_000
"""The machine's stack for a run. The engine has no limit of its own in WebAssembly."""
_MAX_ANSWER_BYTES = 2 * MAX_OUTPUT_BYTES + 2 * MAX_LINES * MAX_LINE_CHARS
_UNREAD = re.compile(r"TypeError: cannot (?:read|set) property '(.+)' of ")
_OUT_OF_TIME = "The parser takes too long: it may use 1 s of processor time, and 1.8 s in all"
_BROKEN = "The parser used up its memory of 32 MB, or broke the engine"
_GROWN = "The parser uses too much memory before it runs"
_TOO_MUCH = f"The parser's output has over {MAX_OUTPUT_BYTES:,} bytes"
_TRAPS: dict[wasmtime.TrapCode | None, str] = {
    wasmtime.TrapCode.INTERRUPT: _OUT_OF_TIME,
    wasmtime.TrapCode.STACK_OVERFLOW: "RangeError: Maximum call stack size exceeded",
}


class Program(NamedTuple):
    """A compiled parser: how the memory of the guest then differs from its frozen memory."""

    size: int
    """The size of the memory in bytes."""
    changes: list[tuple[int, bytes]]
    """Offset and content of what differs, in rising order."""

    @property
    def bytes(self) -> int:
        """How much memory it needs."""
        return sum(len(content) for _, content in self.changes)


class _Answer(BaseModel):
    """What the function of boot.js returns."""

    error: str | None = None
    line: int | None = None
    payload: str = "null"
    serial: str | None = None
    log: list[str] = []


def config(name: str | None = None) -> wasmtime.Config:
    """Return the settings of the engine.

    Args:
        name: the target to compile for. None: this machine.
    """
    settings = wasmtime.Config()
    settings.epoch_interruption = True
    settings.memory_init_cow = True
    settings.cranelift_opt_level = "speed"
    settings.max_wasm_stack = _STACK_BYTES
    if name is not None:
        settings.target = name
    return settings


class Guest:
    """A fresh copy of the frozen engine. It starts in microseconds, as its memory is copied page by page on writing.

    Args:
        machine: its machine code.
        now_ms: where its clock stands still, in milliseconds since 1970. None: at the present time.
    """

    def __init__(self, machine: "Machine", now_ms: int | None = None) -> None:
        self._store = wasmtime.Store(machine.engine)
        self._store.set_epoch_deadline(1)
        items: Any = wasmtime.Instance(self._store, machine.module, []).exports(self._store)
        self._memory: wasmtime.Memory = items["memory"]
        self._alloc, self._enter = items["qjs_alloc"], items["enter"]
        items["now"].set_value(self._store, (clock.now_ms() if now_ms is None else now_ms) * 1_000_000)

    def enter(self, text: str) -> bytes:
        """Call the function that boot.js returns with a text, and return the text that it returns.

        Raises:
            wasmtime.Trap: the guest was interrupted, or broke down.
        """
        store, memory = self._store, self._memory
        raw = text.encode("utf-8", "surrogatepass")
        start = self._alloc(store, len(raw) + _ROOM_BYTES) + _ROOM_BYTES
        memory.write(store, raw, start)
        at, size = divmod(self._enter(store, start, len(raw)) & 0xFFFF_FFFF_FFFF_FFFF, 2**32)
        if size > _MAX_ANSWER_BYTES:
            raise Failed(_TOO_MUCH)
        return bytes(memory.read(store, at, at + size))

    def memory(self) -> bytes:
        """Return a copy of the memory."""
        return bytes(self._memory.read(self._store, 0, self.size))

    @property
    def size(self) -> int:
        """How many bytes its memory has."""
        return self._memory.data_len(self._store)

    def load(self, program: Program) -> None:
        """Give the memory the content that it has when a parser was compiled."""
        missing = program.size - self.size
        if missing > 0:
            self._memory.grow(self._store, missing // _WASM_PAGE)
        start = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        for at, content in program.changes:
            ctypes.memmove(start + at, content, len(content))

    def close(self) -> None:
        """Free the memory."""
        self._store.close()


class Machine:
    """The engine in machine code, for one run at a time: an interrupt ends everything that runs on a machine."""

    def __init__(self) -> None:
        self.engine = wasmtime.Engine(config())
        self.module = self._load()
        self._lock = threading.Lock()
        self._end: _End | None = None
        """When the current run must end. None: nothing runs."""
        self._is_needed = threading.Event()
        threading.Thread(target=self._watch, name="parser watch", daemon=True).start()

    def _load(self) -> wasmtime.Module:
        path = path_of(target())
        try:
            with path.open("rb") as file:
                is_compiled = file.read(4) != b"\0asm"  # else it was built on a machine with another processor
            load = wasmtime.Module.deserialize_file if is_compiled else wasmtime.Module.from_file
            return load(self.engine, str(path))
        except (OSError, wasmtime.WasmtimeError) as error:
            raise Missing from error

    @contextlib.contextmanager
    def limited(self, budget: Budget) -> Iterator[None]:
        """Interrupt what runs within when the budget is used up, and reduce the budget by what it took."""
        cpu_s, wall_s = time.thread_time(), time.monotonic()
        with self._lock:
            self._end = _End(_thread_clock(), cpu_s + budget.cpu_s, wall_s + budget.wall_s)
        self._is_needed.set()
        try:
            yield
        finally:
            with self._lock:
                self._end = None
            budget.cpu_s -= time.thread_time() - cpu_s
            budget.wall_s -= time.monotonic() - wall_s

    @property
    def is_watched(self) -> bool:
        """Whether the clocks are looked at from time to time."""
        return self._is_needed.is_set()

    def _watch(self) -> None:
        """Interrupt runs that use up their budget. Rests while nothing has run for a while."""
        idle_s = 0.0
        while True:
            if idle_s > _IDLE_S:
                self._is_needed.wait()
            time.sleep(_TICK_S)
            with self._lock:
                idle_s = idle_s + _TICK_S if self._end is None else 0.0
                if self._end is not None and self._end.has_come():
                    self.engine.increment_epoch()
                elif idle_s > _IDLE_S:
                    self._is_needed.clear()


class _End(NamedTuple):
    clock: int | None
    """The clock of the thread's processor time, if the system has one."""
    cpu_s: float
    wall_s: float

    def has_come(self) -> bool:
        if time.monotonic() >= self.wall_s:
            return True
        return self.clock is not None and time.clock_gettime(self.clock) >= self.cpu_s


def _thread_clock() -> int | None:
    if sys.platform == "darwin":
        return None
    return time.pthread_getcpuclockid(threading.get_ident())


class Runner:
    """Runs parsers, at most ``RUNS`` at once, and keeps what it has compiled."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(RUNS)
        self._machines: list[Machine] = []
        self._programs: OrderedDict[bytes, Program] = OrderedDict()
        self.kept_bytes = 0
        """How much memory the compiled parsers use."""
        self._lock = threading.Lock()

    def run(self, source: str, message: str, budget: Budget, *, has_serial: bool, now_ms: int | None = None) -> Output:
        """Run a parser. See ``sandbox.run``."""
        with self._free, self._machine() as machine, machine.limited(budget):
            try:
                program = self._compiled(machine, source, has_serial=has_serial)
                with contextlib.closing(Guest(machine, now_ms)) as guest:
                    guest.load(program)
                    return _read(guest.enter(message))
            except Failed as failed:
                raise Failed(failed.text, _line_of(failed, source), failed.log) from None
            except wasmtime.Trap as trap:
                raise Failed(_TRAPS.get(trap.trap_code, _BROKEN)) from None
            except (ValueError, RecursionError, wasmtime.WasmtimeError):
                raise Failed(_BROKEN) from None

    @contextlib.contextmanager
    def _machine(self) -> Iterator[Machine]:
        with self._lock:
            machine = self._machines.pop() if self._machines else None
        machine = machine or Machine()
        try:
            yield machine
        finally:
            with self._lock:
                self._machines.append(machine)

    def _compiled(self, machine: Machine, source: str, *, has_serial: bool) -> Program:
        letter = "N" if has_serial else "C"
        key = hashlib.sha256((letter + source).encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            known = self._programs.get(key)
            if known is not None:
                self._programs.move_to_end(key)
                return known
        with contextlib.closing(Guest(machine)) as guest:
            frozen = guest.memory()
            _read(guest.enter(letter + source))
            if guest.size > len(frozen) + MAX_GROWTH_BYTES:
                raise Failed(_GROWN)
            program = _difference(frozen, guest.memory())
        with self._lock:
            if key not in self._programs:  # another thread may have compiled it meanwhile
                self._programs[key] = program
                self.kept_bytes += program.bytes
            while self.kept_bytes > CACHE_BYTES:
                self.kept_bytes -= self._programs.popitem(last=False)[1].bytes
        return program


def _line_of(failed: Failed, source: str) -> int | None:
    """Return the line of an error. The engine knows the line of the last call; a property is read there or below."""
    lines, unread = source.split("\n"), _UNREAD.match(failed.text)
    if failed.line is None:
        return None
    line = min(failed.line, len(lines))  # the wrapper has one line more
    if unread is None:
        return line
    name = re.compile(rf"(?<![\w$]){re.escape(unread[1])}(?![\w$])")
    return next((number for number, text in enumerate(lines[line - 1 :], line) if name.search(text)), line)


def _difference(frozen: bytes, memory: bytes) -> Program:
    frozen = frozen.ljust(len(memory), b"\0")
    changes: list[tuple[int, bytes]] = []
    start: int | None = None
    for at in range(0, len(memory) + 1, _PAGE):
        is_same = frozen[at : at + _PAGE] == memory[at : at + _PAGE]
        if start is None and not is_same:
            start = at
        elif start is not None and is_same:
            changes.append((start, memory[start:at]))
            start = None
    return Program(len(memory), changes)


def _read(answer: bytes) -> Output:
    """Read what the guest returned. A parser can change all of it but what the guest's own functions check.

    Raises:
        Failed: the parser failed, or its output is too large.
        ValueError: this is not what the guest returns.
    """
    try:
        found = _Answer.model_validate_json(answer)
    except ValueError:  # maybe as a text holds half of a surrogate pair
        found = _Answer.model_validate_json(jsontext.without_surrogates(answer.decode()))
    log = tuple(line[:MAX_LINE_CHARS] for line in found.log[:MAX_LINES])
    if found.error is not None:
        raise Failed(" ".join(found.error[:MAX_LINE_CHARS].split()), found.line, log)
    if len(found.payload) > MAX_OUTPUT_BYTES or len(found.payload.encode()) > MAX_OUTPUT_BYTES:
        raise Failed(_TOO_MUCH, log=log)
    return Output(found.payload, log, found.serial)


_runner = Runner()
run = _runner.run
