"""What Chalice's command line does when it loads app.py.

``chalice deploy`` alone would make functions and an API without tables, secret and keys, and ``chalice delete`` would
leave everything else behind. Chalice has read its configuration by then, so it is too late to prepare it: instead, both
commands become ``python -m deploy up`` and ``down``.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterable

import click
from chalice.app import Chalice

from chalicelib.http.route import Route
from deploy import chalice, document, waiting

_COMMANDS = {"deploy": "up", "delete": "down"}
_LOOK_S = 0.2
_OURS = ("api_gateway_stage", "autogen_policy", "connection_timeout")
"""Options of Chalice whose values the deployer sets itself."""


def install(app: Chalice, rows: Iterable[Route]) -> None:
    """Prepare an app for Chalice's command line, or run our command in place of Chalice's and exit with its status.

    Raises:
        SystemExit: our command ran, or Chalice was given an option that the deployer sets itself.
    """
    context = click.get_current_context(silent=True)
    name = context.info_name if context is not None else None
    if context is not None and name in _COMMANDS and chalice.STARTED_BY not in os.environ:
        raise SystemExit(_redirect(context, _COMMANDS[name]))
    if chalice.STARTED_BY in os.environ:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    stage = context.params.get("stage") if context is not None else None
    document.install(app, rows, stage or "dev")
    waiting.install_in_chalice()


def _end_with(parent: int) -> None:
    """End this process when the command that started it was killed: its lock is free then."""
    ended = threading.Event()
    while not ended.wait(_LOOK_S):
        if os.getppid() != parent:
            os._exit(1)


def _redirect(context: click.Context, command: str) -> int | str:
    given = [f"--{name.replace('_', '-')}" for name in _OURS if context.params.get(name) is not None]
    if given:
        return f"Leave out {', '.join(given)}: `python -m deploy {command}` sets it"
    options = ["--stage", context.params["stage"]]
    if context.params.get("profile"):
        options += ["--profile", context.params["profile"]]
    print(f"This is `python -m deploy {command} {' '.join(options)}`.", flush=True)
    arguments = [sys.executable, "-m", "deploy", command, *options]
    return subprocess.run(arguments, cwd=chalice.ROOT, check=False).returncode  # noqa: S603 - own words
