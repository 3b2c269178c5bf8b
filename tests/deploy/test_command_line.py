"""``python -m deploy``: each command has its own options, describes itself, and is in docs/deploy.md."""

import re
import subprocess
import sys

import pytest

from deploy.__main__ import main
from tests.deploy.conftest import ROOT

NAMED = {"plan": ("PROFILE", "PLAN"), "scale": ("--devices", "3")}
"""What a command must be given."""
OPTIONS = {
    "up": {"--stage", "--profile"},
    "init": {"--stage", "--profile"},
    "down": {"--stage", "--profile", "--data"},
    "check": {"--stage", "--profile", "--live", "--url", "--mqtt"},
    "diff": {"--stage", "--profile"},
    "retry": {"--stage", "--profile", "--dead-letters"},
    "recount": {"--stage", "--profile", "--device", "--all"},
    "restore": {"--stage", "--profile", "--to", "--keep-deleted", "--back", "--drop-old"},
    "token": {"--stage", "--profile", "--profile-id"},
    "password": {"--stage", "--profile", "--email"},
    "plan": {"--stage", "--profile"},
    "config": {"--stage"},
    "cost": {"--points", "--batch", "--path", "--every", "--environments", "--basic-ingest", "--read"},
    "scale": {"--devices", "--every", "--batch", "--http", "--mqtt", "--retention", "--profiles"},
}
VALUES = {
    "--stage": "dev", "--points": "3", "--batch": "1", "--path": "http", "--every": "10", "--read": "last_value",
    "--profile": "default", "--to": "2026-11-26T07:00:00Z", "--profile-id": "0123456789abcdef01234567",
    "--environments": "1", "--email": "me@x.org",
    "--devices": "3", "--retention": "3", "--profiles": "1", "--device": "0123456789abcdef01234567",
    "--url": "https://api.example.com", "--mqtt": "mqtt.example.com",
}  # fmt: skip
PAGE = (ROOT / "docs/deploy.md").read_text()


@pytest.fixture
def help_of(capsys):
    def do(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([*arguments, "--help"])
        assert exit_.value.code == 0
        return capsys.readouterr().out

    return do


def options_in(text):
    return set(re.findall(r"--[a-z][a-z-]*", text))


def test_help_lists_the_commands_and_each_says_what_it_does(help_of):
    assert set(re.search(r"\{(.+?)\}", help_of())[1].split(",")) == set(OPTIONS)
    for command, options in OPTIONS.items():
        text = help_of(command)
        usage, sentence = text.split("\n\n")[:2]
        assert options_in(usage) == options and f"python -m deploy {command}" in usage
        assert re.match(r"[A-Z][a-z]+ .+\.", sentence, re.DOTALL), command
        for option in options:
            assert re.search(rf"^  {option}( \S+)?\s+\w", text, re.MULTILINE), f"{command} explains {option}"


@pytest.mark.parametrize("command", OPTIONS)
def test_command_refuses_the_options_of_the_others(command, capsys):
    for option in set().union(*OPTIONS.values()) - OPTIONS[command]:
        with pytest.raises(SystemExit) as exit_:
            main([command, *NAMED.get(command, ()), option, *([VALUES[option]] if option in VALUES else [])])
        printed = capsys.readouterr().err
        assert exit_.value.code == 2, option
        assert (
            printed.startswith(f"usage: python -m deploy {command} ") and f"unrecognized arguments: {option}" in printed
        )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["deploy"],
        ["cost", "--batch", "7"],
        ["cost", "--read", "all"],
        ["cost", "--points", "-5"],
        ["cost", "--every", "nan"],
    ],
)
def test_unknown_commands_and_values_are_refused_with_a_usage_line(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2 and capsys.readouterr().err.startswith("usage: python -m deploy")


def test_page_names_each_command_with_its_options():
    rows = re.findall(r"^\| `python -m deploy (\w+)` \|(.+)\|(.+)\|$", PAGE, re.MULTILINE)
    assert {command: options_in(options) for command, _, options in rows} == OPTIONS
    for command, does, _ in rows:
        assert options_in(does) <= OPTIONS[command]


def test_page_names_no_command_and_no_option_that_the_parser_does_not_know():
    assert set(re.findall(r"python -m deploy (\w+)", PAGE)) <= set(OPTIONS)
    used = re.findall(rf"`(?:python -m deploy )?({'|'.join(OPTIONS)})((?: --[a-z-]+)+)", PAGE)
    assert used
    for command, options in used:
        assert options_in(options) <= OPTIONS[command], command


@pytest.mark.parametrize("module", ["deploy", "deploy.package"])
def test_modules_run_as_programs(module):
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: python -m {module} ")


@pytest.mark.parametrize("stage", ["Dev", "my-stage", "", "a" * 21, "Foo Bar", "x_y"])
def test_stage_that_could_be_taken_for_a_part_is_refused(stage, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["config", "--stage", stage])
    assert exit_.value.code == 2 and "lower-case letters and digits" in capsys.readouterr().err
