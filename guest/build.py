"""``python -m guest.build`` builds the guest: the JavaScript engine in which payload parsers run.

The engine is QuickJS-ng as WebAssembly, from the package quickjs-rs. It is loaded once with the libraries that parsers
may use, and its memory is frozen into a new module. So each run starts in a prepared engine at once. The module imports
nothing: no function of the machine can be called from within. It is compiled ahead, without what only some
processors of a kind can do.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import struct
from pathlib import Path
from typing import Any

import wasmtime

from chalicelib import sandbox
from chalicelib.sandbox import engine
from guest import wasm, zones

_HERE = Path(__file__).parent
_VENDOR = _HERE / "vendor"
USED = ("memory", "qjs_alloc")
"""What the host needs of the engine's exports."""
_FUNCTION, _GLOBAL = 0, 3
"""Kinds of exports."""


def build(target: str) -> Path:
    """Build the guest for a target and return its file.

    The compiler knows only this machine's processor. For another one the file holds the module itself, which is then
    compiled at its first use, in some seconds.

    Raises:
        ValueError: see ``freeze``.
    """
    path = sandbox.path_of(target)
    whole = freeze(engine_module(), boot_source())
    if target.partition("-")[0] == sandbox.target().partition("-")[0]:
        whole = compiled(whole, target)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(whole)
    part.replace(path)
    return path


def ensure(target: str) -> None:
    """Build the guest for a target, unless it is there and made of what it would be made of now."""
    path = sandbox.path_of(target)
    mark, sources = mark_of(path), digest()
    if not path.exists() or not mark.exists() or mark.read_text() != sources:
        build(target)
        mark.write_text(sources)


def mark_of(path: Path) -> Path:
    """Return the file beside a guest that says of what it was made."""
    return path.with_suffix(".sources")


def digest() -> str:
    """Return a digest of all that the guest is made of."""
    found = hashlib.sha256(engine_module())
    for source in sorted([*_HERE.glob("*.py"), *_HERE.glob("*.js"), *_VENDOR.glob("*.js"), Path(engine.__file__)]):
        found.update(source.read_bytes())
    for package in ("wasmtime", "tzdata"):
        found.update(importlib.metadata.version(package).encode())
    return found.hexdigest()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m guest.build", description=__doc__)
    parser.add_argument("--machine", default="", help="x86_64 or arm64, for a Lambda; default: for this machine")
    ensure(sandbox.target(parser.parse_args().machine))


def engine_module() -> bytes:
    """Return the engine as it comes in its package."""
    return (importlib.resources.files("quickjs_rs") / "_guest.wasm").read_bytes()


def boot_source() -> str:
    """Return the script that prepares the engine: boot.js with the libraries and the time zones."""
    modules = {path.stem: path for path in [*_VENDOR.glob("*.js"), _HERE / "intl.js"]}
    members = [
        f"{json.dumps(name)}: function (exports, module, require) {{{path.read_text()}\n}}"
        for name, path in sorted(modules.items())
    ]
    boot = (_HERE / "boot.js").read_text().rstrip("; \n")
    return f"{boot}(globalThis, {{{','.join(members)}}}, {json.dumps(zones.packed())})"


def compiled(module: bytes, target: str) -> bytes:
    """Return a module as machine code for a target, without what only some processors of its kind can do."""
    return bytes(wasmtime.Module(wasmtime.Engine(engine.config(target)), module).serialize())


def freeze(module: bytes, boot: str) -> bytes:
    """Return a module whose memory is that of a running one after it has evaluated a script.

    Its imported functions are replaced by functions of its own that do nothing. The clock stands still at the time that
    the global ``now`` has. Its function ``enter`` calls the script's; see ``_enter``.

    Args:
        module: the engine.
        boot: returns a function that takes and returns a text.

    Raises:
        ValueError: the engine is not built as expected, or the script fails.
    """
    memory, stack_pointer, handle = _boot(module, boot)
    parts = wasm.sections(module)
    if wasm.START in parts or wasm.number(1) != parts[wasm.GLOBAL][:1] or wasm.number(1) != parts[wasm.MEMORY][:1]:
        raise ValueError("the engine has a start function, or not one global and one memory")
    imports = wasm.imports(parts.pop(wasm.IMPORT))
    results = wasm.results(parts[wasm.TYPE])
    exports = wasm.exports(parts[wasm.EXPORT])
    enter = wasm.length(parts[wasm.FUNCTION]) + len(imports)
    # The functions that take the place of imported ones come first, as those did: no number of a function changes.
    parts[wasm.TYPE] = wasm.extended(parts[wasm.TYPE], before=[], after=[b"\x60\2\x7f\x7f\1\x7e"])
    parts[wasm.FUNCTION] = wasm.extended(
        parts[wasm.FUNCTION],
        before=[wasm.number(each.type) for each in imports],
        after=[wasm.number(len(results))],
    )
    parts[wasm.CODE] = wasm.extended(
        parts[wasm.CODE],
        before=[_stub(each.name, results[each.type]) for each in imports],
        after=[_enter({each.name: each.number for each in exports}, handle)],
    )
    pages = len(memory) // wasm.PAGE
    parts[wasm.MEMORY] = wasm.vector([b"\1" + wasm.number(pages) + wasm.number(sandbox.MEMORY_BYTES // wasm.PAGE)])
    parts[wasm.GLOBAL] = wasm.vector([
        b"\x7f\1\x41" + wasm.signed(stack_pointer) + b"\x0b",
        b"\x7e\1\x42\0\x0b",  # now: i64, variable
    ])  # fmt: skip
    used = [each for each in exports if each.name in USED]
    own = [wasm.Export("now", _GLOBAL, 1), wasm.Export("enter", _FUNCTION, enter)]
    parts[wasm.EXPORT] = wasm.write_exports(used + own)
    segments = [b"\0\x41" + wasm.signed(start) + b"\x0b" + wasm.sized(part) for start, part in wasm.runs(memory, 4096)]
    parts[wasm.DATA] = wasm.vector(segments)
    if wasm.DATA_COUNT in parts:
        parts[wasm.DATA_COUNT] = wasm.number(len(segments))
    return wasm.assemble(parts)


def _enter(numbers: dict[str, int], handle: int) -> bytes:
    """Return the code of a function that calls a function of JavaScript with a text.

    It takes the address and the size of the text, with 8 bytes of room before it. It returns the address of the text
    that the function returned, times 2 ** 32, and its size; or it breaks down.

    Args:
        numbers: of the engine's functions, by name.
        handle: of the function.
    """

    def call(name: str) -> bytes:
        return b"\x10" + wasm.number(numbers[name])

    argument, result = (b"\x20\0\x41" + wasm.signed(room) + b"\x6b" for room in (8, 4))  # their addresses
    or_break = b"\x04\x40\0\x0b"
    return wasm.sized(b"".join([
        b"\0",
        argument, b"\x20\0\x20\1", call("new_string"), b"\x36\2\0",
        b"\x41" + wasm.signed(handle), call("new_undefined"), argument, b"\x41\1", result, call("call_function"),
        or_break,
        result, b"\x28\2\0", call("get_string"),
        or_break,
        call("qjs_last_ptr"), b"\xad\x42\x20\x86", call("qjs_last_len"), b"\xad\x84\x0b",
    ]))  # fmt: skip


def _stub(name: str, results: bytes) -> bytes:
    """Return the code of a function that takes the place of an imported one."""
    if name == "clock_time_get":  # (clock, precision, pointer): stores the global ``now``
        body = b"\x20\2\x23\1\x37\3\0\x41\0"
    elif name == "proc_exit":
        body = b"\0"
    else:
        body = b"".join({0x7F: b"\x41\0", 0x7E: b"\x42\0"}[kind] for kind in results)
    return wasm.sized(b"\0" + body + b"\x0b")


def _boot(module: bytes, boot: str) -> tuple[bytes, int, int]:
    """Evaluate a script in the engine. Return the memory, the stack pointer and the handle of the script's value."""
    machine = wasmtime.Engine()
    linker = wasmtime.Linker(machine)
    linker.define_wasi()
    loaded = wasmtime.Module(machine, module)
    for each in loaded.imports:
        if each.module == "env" and each.name and isinstance(each.type, wasmtime.FuncType):
            linker.define_func(each.module, each.name, each.type, lambda *_: 0)
    store = wasmtime.Store(machine)
    store.set_wasi(wasmtime.WasiConfig())
    items = linker.instantiate(store, loaded).exports(store)
    memory: Any = items["memory"]

    def call(name: str, *values: int) -> int:
        function: Any = items[name]
        return int(function(store, *values) or 0)

    source = boot.encode()
    start, handle = call("qjs_alloc", len(source)), call("qjs_alloc", 4)
    memory.write(store, source, start)
    if call("eval_code", start, len(source), handle) != 0:
        raise ValueError("the script failed in the engine")
    call("qjs_free", start, len(source))
    call("run_gc")
    (enter,) = struct.unpack("<i", memory.read(store, handle, handle + 4))
    pointer: Any = items["__stack_pointer"]
    return bytes(memory.read(store, 0, memory.data_len(store))), pointer.value(store), enter


if __name__ == "__main__":
    main()
