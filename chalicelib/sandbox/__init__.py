"""Runs payload parsers: JavaScript of strangers, in an engine that can reach nothing and that always ends.

The engine is a WebAssembly module without imports, see guest/. It runs in this process, but its code can only use its
own memory, which cannot grow over a limit. An interrupt ends it wherever it is, in a built-in function too. Each run
starts from the same frozen memory, so nothing is left of the run before.
"""

import hashlib
import os
import secrets
import struct
import sys
from pathlib import Path
from typing import NamedTuple

RUNS = 2
"""How many parsers run at once."""
MAX_SOURCE_BYTES = 65_536
MEMORY_BYTES = 32 * 1024 * 1024
"""The memory of a run, with the engine and its libraries."""
MAX_OUTPUT_BYTES = 200_000
MAX_LINES = 100
MAX_LINE_CHARS = 1_000
CPU_S = 1.0
"""The processor time of a request's parsers together."""
WALL_S = 1.8
"""How long they may take in all."""


class Failed(Exception):
    """A parser failed.

    Args:
        text: one line for the client.
        line: the line of its source, from 1, if it is known.
        log: what it wrote to the console before.
    """

    def __init__(self, text: str, line: int | None = None, log: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.text, self.line, self.log = text, line, log


class Missing(Exception):
    """The engine was not built for this machine, or for another version of its parts."""

    def __init__(self) -> None:
        super().__init__("The engine of payload parsers is missing or of another version: run python -m guest.build")


class Output(NamedTuple):
    """What a parser has made."""

    payload: str
    """The final value of ``payload`` in JSON; ``null`` for undefined."""
    log: tuple[str, ...] = ()
    """What it wrote to the console: at most 100 lines of 1,000 characters."""
    serial: str | None = None
    """The final value of ``serial``, if it is the parser of a network."""


class Budget:
    """How long the parsers of a request may still run, in seconds."""

    __slots__ = ("cpu_s", "wall_s")

    def __init__(self, cpu_s: float = CPU_S, wall_s: float = WALL_S) -> None:
        self.cpu_s, self.wall_s = cpu_s, wall_s

    @property
    def is_starved(self) -> bool:
        """Whether the time is over, but the machine had no processor for half of it. Parsers cannot sleep."""
        return self.wall_s <= 0 and self.cpu_s > CPU_S / 2


def run(
    source: str,
    *,
    payload: str,
    raw_payload: str,
    device: str,
    budget: Budget,
    has_serial: bool = False,
    now_ms: int | None = None,
) -> Output:
    """Run a parser in this thread. At most two run at once; others wait.

    Args:
        source: the body of a function with the parameter ``payload``, and ``serial`` for the parser of a network.
        payload: JSON, the value of ``payload``.
        raw_payload: JSON, what the client sent.
        device: JSON, the device.
        budget: is reduced by what the run takes.
        has_serial: whether it is the parser of a network.
        now_ms: where its clock stands still, in milliseconds since 1970, and by which random numbers follow from the
            payload. None: at the present time, with others in each run.

    Raises:
        Failed: the source cannot be read, it threw an error, or it used up a limit.
        Missing: there is no engine.

    Cost: about 1 ms of processor time. The first run of a process loads the engine.
    """
    from chalicelib.sandbox import engine  # it loads a library of 30 MB

    rest = f'"payload":{payload},"raw_payload":{raw_payload},"device":{device}}}'
    if now_ms is None:
        seed = secrets.token_bytes(12)
    else:  # what is sent again gets the same random numbers
        seed = hashlib.sha256(f"{now_ms} {rest}".encode("utf-8", "surrogatepass")).digest()
    message = f'R{{"seed":{[*struct.unpack_from("<3I", seed)]},{rest}'
    return engine.run(source, message, budget, has_serial=has_serial, now_ms=now_ms)


def target(machine: str = "") -> str:
    """Return a processor and a system in the words of the compiler.

    Args:
        machine: the processor of a Lambda function. Empty: the processor and system of this machine.
    """
    name = (machine or os.uname().machine).lower()
    processor = {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)
    is_mac = sys.platform == "darwin" and not machine
    return f"{processor}-apple-darwin" if is_mac else f"{processor}-unknown-linux-gnu"


def path_of(name: str) -> Path:
    """Return where the engine for a target is, as ``python -m guest.build`` writes it."""
    return Path(__file__).with_name(f"guest.{name}.cwasm")
