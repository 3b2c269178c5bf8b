"""docs/start-deployer.md: its commands print what the page says, on a stage that ``up`` has made."""

import shlex

from tests.kit.pages import assert_shown, steps, text


def test_page_for_deployers_is_right(deployed):
    done = []
    for command, shown in steps(text("start-deployer.md")):
        *program, name = command.split()[:4]
        assert program == ["python", "-m", "deploy"]
        printed = deployed.printed if name == "up" else deployed.run(*shlex.split(command)[3:])
        assert_shown(printed, shown)
        done.append(name)
    assert done == ["cost", "up", "check", "diff", "token", "down"]
