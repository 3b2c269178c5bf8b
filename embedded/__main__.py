"""``python -m embedded``: the API on this machine; ``… backup FILE`` and ``… restore FILE`` save it and bring it back.

``… token`` and ``… password EMAIL`` help an operator who lost one; ``… plan PROFILE PLAN`` sets a price plan.
``… simulate`` sends what many devices would send; ``… demo`` serves and simulates.
``… vacuum`` makes the database small; ``… parser FILE`` runs a payload parser; ``… letters`` shows dead letters.
``… import FILE`` and ``… export FILE`` store and write points by HTTP, on this machine or elsewhere.
docs/settings.md lists the environment variables.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from chalicelib import sandbox, settings
from embedded import backup, folder, letters, operator, parser, server, vacuum
from embedded.settings import EmbeddedSettings, load
from embedded.simulate import options as simulation
from embedded.terminal import printable
from embedded.transfer import commands as transfer


def main() -> int:
    """Serve until SIGINT or SIGTERM, save or restore; return the exit status."""
    os.umask(0o077)  # whatever this process writes is for this user only
    arguments = _arguments()
    for warning in settings.unknown(settings.Settings, EmbeddedSettings):
        print(f"Warning: {warning}", file=sys.stderr)
    if not sandbox.path_of(sandbox.target()).exists():
        print(f"Warning: {sandbox.Missing()}", file=sys.stderr)
    command = _COMMANDS.get(arguments.command)
    try:
        options = load()
        status = command.run(options, arguments) if command else server.serve(options)
    except (ValueError, folder.Unusable) as error:
        return _cannot(command.does if command else "start", error)
    return status or 0


class _Command(NamedTuple):
    does: str
    """For the message that it cannot."""
    run: Callable[[EmbeddedSettings, argparse.Namespace], int | None]
    """Returns the exit status; None: 0."""


_COMMANDS = {
    "backup": _Command("back up", lambda options, given: backup.save(options.data_dir, given.file)),
    "restore": _Command(
        "restore", lambda options, given: backup.restore(given.file, options.data_dir, force=given.force)
    ),
    "token": _Command("make a token", lambda options, _: operator.print_token(options.data_dir)),
    "password": _Command(
        "set the password", lambda options, given: operator.set_password(options.data_dir, given.email)
    ),
    "plan": _Command(
        "set the plan", lambda options, given: operator.set_plan(options.data_dir, given.profile, given.plan)
    ),
    "vacuum": _Command("vacuum", lambda options, _: vacuum.vacuum(options.data_dir)),
    "parser": _Command("run the parser", lambda _, given: parser.run(given)),
    "simulate": _Command("simulate", lambda _, given: simulation.run(given)),
    "demo": _Command("run the demo", lambda _, given: simulation.demo(given)),
    "letters": _Command("use the dead letters", lambda options, given: letters.run(options.data_dir, given)),
    "import": _Command("import", lambda _, given: transfer.read_from(given)),
    "export": _Command("export", lambda _, given: transfer.write_to(given)),
}
"""What each command does. Without a command the program serves."""


def _arguments() -> argparse.Namespace:
    about = "The API on this machine. Environment variables set it up; docs/settings.md lists them."
    main_parser = argparse.ArgumentParser(prog="python -m embedded", description=about)
    commands = main_parser.add_subparsers(dest="command", title="commands", description="Without a command it serves.")
    save = commands.add_parser("backup", help="save database and secret into one new file, also while it serves")
    restore = commands.add_parser("restore", help="make a backup the content of the data folder")
    for command in (save, restore):
        command.add_argument("file", type=Path, metavar="FILE")
    commands.add_parser("token", help="make and print a full token of the first profile, while it does not serve")
    password = commands.add_parser("password", help="set the password of an account, while it does not serve")
    password.add_argument("email", metavar="EMAIL", help="its e-mail address; the password is asked for")
    plan = commands.add_parser("plan", help="give a profile another price plan, while it does not serve")
    plan.add_argument("profile", metavar="PROFILE", help="the id of the profile")
    plan.add_argument("plan", metavar="PLAN", help="the name of the price plan, such as free")
    restore.add_argument("--force", action="store_true", help="replace what the data folder holds")
    commands.add_parser("vacuum", help="make the database as small as it can be, while it does not serve")
    parser.add_to(commands)
    simulation.add_to(commands)
    letters.add_to(commands)
    transfer.add_to(commands)
    return main_parser.parse_args()


def _cannot(do: str, error: Exception) -> int:
    lines = f"Cannot {do}: {error}".split("\n")  # they may hold what a server says
    print(*map(printable, lines), sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
