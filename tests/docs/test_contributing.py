"""CONTRIBUTING.md, the hooks and the workflow name things that exist, and the scan for secrets finds keys."""

import importlib.util
import os
import re
import subprocess

import pytest
import yaml

from tests.program import ROOT

OUTSIDE = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "GIT_"))}
"""The environment without the variables that make and git set for the commands that they run."""
PAGES = {*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")} - {ROOT / "CHANGELOG.md"}
"""The pages whose commands must exist. The changelog also names commands that do not exist any more."""
SCAN = ROOT / ".ci/secrets"
KEY_ID = "AKIA" + "IOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"


def make(*arguments, **environment):
    """Return the commands that make would run with the existing virtual environment."""
    done = subprocess.run(
        ["make", "--dry-run", "--assume-old=.venv/.dev", "--assume-old=.venv/.embedded", *arguments],
        cwd=ROOT, env=OUTSIDE | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if not line.startswith("make")]


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda path: path.name)
def test_commands_that_a_page_names_exist(path):
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^\$ )make ([a-z][a-z-]*)", text, re.MULTILINE)) <= targets
    for module in set(re.findall(r"`python -m ([a-z_.]+)", text)):
        assert importlib.util.find_spec(module), module


def test_lint_and_a_part_of_the_tests_run_alone():
    lint = make("lint")
    assert len(lint) == 4 and not any("pytest" in line for line in lint)
    assert make("test", "T=tests/api") == [".venv/bin/pytest tests/api"]
    web = [".venv/bin/python -m web.build test", ".venv/bin/python -m web.build"]
    assert make("test") == [*lint, *web, ".venv/bin/pytest -n 2 --cov --cov-report=term"]
    assert make("test", T="tests/api") == make("test"), "a variable of the environment may not shorten the suite"


def test_variables_of_the_cloud_tests_are_explained():
    read = set()
    for path in (ROOT / "tests/cloud").glob("*.py"):
        read |= set(re.findall(r"DECANT_[A-Z_]+", path.read_text()))
    assert read == set(re.findall(r"DECANT_[A-Z_]+", (ROOT / "CONTRIBUTING.md").read_text()))


def test_example_of_the_style_guide_is_in_the_code():
    text = (ROOT / "docs/style.md").read_text()
    (path,) = re.findall(r"From `([^`]+)`:", text)
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert example in (ROOT / path).read_text()


def test_hooks_are_local_commands():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = {hook["entry"]: hook["language"] for hook in config["repos"][0]["hooks"]}
    assert hooks == {".ci/secrets": "system", "make lint": "system"} and os.access(SCAN, os.X_OK)


def test_workflow_runs_what_ci_runs():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"].values()
    assert job["strategy"]["matrix"]["python-version"] == ["3.11", "3.12"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]


@pytest.fixture
def scan(tmp_path):
    def git(*arguments):
        options = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *options, *arguments], cwd=tmp_path, env=OUTSIDE, check=True, capture_output=True)

    git("init")

    def do(name, text, commit=False):
        (tmp_path / name).write_text(text)
        git("add", "-A")
        done = subprocess.run([SCAN], cwd=tmp_path, env=OUTSIDE, capture_output=True, text=True, check=False)
        if commit:
            git("commit", "-m", "x")
        return done.returncode, done.stdout + done.stderr

    return do


@pytest.mark.parametrize(
    "text",
    [
        f"key = {KEY_ID}\n",
        f"AWS_SECRET_ACCESS_KEY={SECRET}\n",
        f'"SecretAccessKey": "{SECRET}"\n',
        "-----BEGIN " + "PRIVATE KEY-----\n",
        "-----BEGIN " + "OPENSSH PRIVATE KEY-----\n",
        f"\0binary {KEY_ID}\0",
    ],
)
def test_scan_names_the_file_with_a_key_but_not_the_key(scan, text):
    code, output = scan("of [a] *name", text)
    assert code == 1 and "of [a] *name" in output and text.strip() not in output


@pytest.mark.parametrize("text", ["", "AWS_SECRET_ACCESS_KEY=test\n", "-----BEGIN CERTIFICATE-----\n", f"{KEY_ID}x\n"])
def test_scan_lets_other_text_pass(scan, text):
    assert scan("file", text) == (0, "")


def test_scan_looks_at_what_is_staged_only(scan):
    assert scan("old", KEY_ID, commit=True)[0] == 1
    assert scan("new", "nothing") == (0, "")
