"""deploy/local/ and docs/self-hosting.md name files, commands and settings that exist, and the health check works."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest

from chalicelib.settings import Settings, variable
from embedded.settings import EmbeddedSettings
from tests.program import ROOT, fresh_environment

UNIT = ROOT / "deploy/local/decant.service"
DOCKERFILE = (ROOT / "deploy/local/Dockerfile").read_text()
PAGE = (ROOT / "docs/self-hosting.md").read_text()
SETTINGS = {variable(field.name) for model in (Settings, EmbeddedSettings) for field in fields(model)}
STEPS = [line.split(None, 1) for line in DOCKERFILE.replace("\\\n", " ").splitlines() if re.match(r"[A-Z]+ ", line)]


@pytest.fixture
def unit():
    class Many(dict):
        """Keeps the last value of a name that comes twice."""

    parser = configparser.ConfigParser(strict=False, interpolation=None, dict_type=Many)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


def test_unit_is_hardened_and_keeps_its_data_where_it_says(unit):
    service = unit["Service"]
    wanted = "DynamicUser ProtectHome PrivateTmp PrivateDevices NoNewPrivileges RestrictNamespaces LockPersonality"
    assert {service[name] for name in wanted.split()} == {"yes"}
    assert service["ProtectSystem"] == "strict" and service["CapabilityBoundingSet"] == ""
    environment = dict(part.split("=") for part in service["Environment"].split())
    assert environment["DECANT_DATA_DIR"] == f"/var/lib/{service['StateDirectory']}"
    assert service["ExecStart"].split()[1:] == ["-m", "embedded"]
    assert service["ExecStart"].startswith(service["WorkingDirectory"])


def test_unit_is_valid_for_systemd(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    path = tmp_path / "decant.service"
    path.write_text(UNIT.read_text().replace("/opt/decant/.venv/bin/python", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "" and done.returncode == 0


def test_dockerfile_copies_what_the_server_needs_and_runs_without_rights():
    kinds = [kind for kind, _ in STEPS]
    copied = [part for kind, rest in STEPS if kind == "COPY" and "--from" not in rest for part in rest.split()[:-1]]
    assert all((ROOT / part).exists() for part in copied)
    assert {"app.py", "chalicelib", "embedded", "guest", "requirements-embedded.txt"} <= set(copied)
    assert "--require-hashes" in DOCKERFILE and kinds.index("USER") < kinds.index("CMD")
    assert dict(STEPS)["USER"] == "decant" and dict(STEPS)["VOLUME"] == "/data"
    assert json.loads(dict(STEPS)["CMD"])[1:] == ["-m", "embedded"]


def test_copied_files_are_enough_to_start(tmp_path):
    for name in ("app.py", "chalicelib", "embedded"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    code = "import app, embedded.__main__; print(app.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=fresh_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / "app.py")


def test_health_check_of_the_dockerfile_works(start):
    program = start()
    command = json.loads(dict(STEPS)["HEALTHCHECK"].partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    code = command[2].replace("http://127.0.0.1:8000", program.url)
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
    program.stop()
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode != 0


def test_settings_that_are_named_exist():
    for text in (UNIT.read_text(), DOCKERFILE, PAGE):
        assert set(re.findall(r"DECANT_[A-Z_]+", text)) <= SETTINGS


def test_paths_and_commands_of_the_page_exist():
    for path in set(re.findall(r"(?:deploy/local/\w+(?:\.\w+)?|requirements-\w+\.txt)", PAGE)):
        assert (ROOT / path).is_file(), path
    commands = re.findall(r"python -m embedded (\w+ (?:--force )?[\w./-]+|vacuum)", PAGE)
    assert {command.split()[0] for command in commands} == {"backup", "restore", "password", "vacuum"}
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "embedded", *shlex.split(command)], cwd=ROOT, capture_output=True, text=True, check=False,
            env=fresh_environment() | {"DECANT_DATA_DIR": "/proc/none"},
        )  # fmt: skip
        assert done.returncode == 1 and done.stderr.startswith("Cannot "), "argparse would end with 2"
