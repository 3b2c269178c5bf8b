"""The commands of docs/import-export.md, run one after the other against a server; they print what the page says."""

import argparse
import os
import re
import subprocess
import sys

import pytest

from embedded.transfer import commands
from tests.program import ROOT, Program, fresh_environment

PAGE = (ROOT / "docs/import-export.md").read_text()


@pytest.fixture
def shell(tmp_path):
    """Return a function that runs a command in one folder, with the variables that were exported before."""
    program = Program(tmp_path / "server")
    made = program.call("POST", "/device", program.profile_token, {"name": "another"})
    environment = fresh_environment() | {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
    }
    texts = {
        "http://127.0.0.1:8000": program.url, "<the device's token>": program.device_token, "<one>": program.device_token,
        "<another>": made["token"], "<a token of the profile here>": program.profile_token,
        "<a token of the profile at TagoIO>": program.profile_token,
    }  # fmt: skip

    def run(command):
        for text, meant in texts.items():
            command = command.replace(text, meant)
        if command.startswith("export "):
            environment.update(part.split("=", 1) for part in command.split()[1:])
            return ""
        done = subprocess.run(
            ["bash", "-c", command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            cwd=tmp_path, timeout=60,
        )  # fmt: skip
        return done.stdout

    run.program, run.folder = program, tmp_path
    yield run
    program.stop()


def test_commands_print_what_the_page_says(shell):
    ran = 0
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            name = re.fullmatch(r"cat (\w+\.csv)", command)
            if name and not (shell.folder / name[1]).exists():
                (shell.folder / name[1]).write_text(output)
            if "--from-tagoio" in command:
                command += f" --tagoio-url {shell.program.url} --only {of_first(shell)}"
            found = shell(command)
            if "|" in command:
                assert sorted(found.splitlines()) == ["the input: 6 points stored", "the output: 6 points written"]
            else:
                assert found.replace("\r\n", "\n") == output, command
            ran += 1
    assert ran > 10
    assert (shell.folder / "copy.ndjson").read_text().count("temperature") == 2


def of_first(shell):
    return shell.program.call("GET", "/info")["id"]


def test_each_option_is_on_the_page_and_each_of_the_page_exists():
    parser = argparse.ArgumentParser()
    kinds = parser.add_subparsers(dest="command")
    commands.add_to(kinds)
    options = {
        option for command in kinds.choices.values() for action in command._actions for option in action.option_strings
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert named - {"--require-hashes"} == options - {"--help", "-h"}
    assert (ROOT / "requirements-parquet.txt").is_file()
