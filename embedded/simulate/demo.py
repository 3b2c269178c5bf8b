"""``python -m embedded demo`` (``make demo``): a server with a data folder of its own, and simulated devices."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from embedded.simulate import command
from embedded.simulate.options import Options

FOLDER = Path("data-demo")
_DEVICES, _EVERY_S, _HISTORY_S, _SEED = 60, 5, 7 * 86_400, 1
_END_S = 30.0
_LAST_LINE = "export TAGOIO_SSE"
"""The server is ready when it has printed this."""
_QUIET = '"level":"info"'


def run(rounds: int | None) -> int:
    """Serve and simulate until Ctrl-C; return the exit status. Raises ValueError: as ``command.simulate``.

    The server has the settings of the environment. Its data folder is ``FOLDER`` unless ``DECANT_DATA_DIR`` is set.

    Args:
        rounds: see ``Options``.
    """
    folder = os.environ.get("DECANT_DATA_DIR") or str(FOLDER)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # In a session of its own, so that Ctrl-C reaches this process only: the devices end first, then the server.
    server = subprocess.Popen(
        [sys.executable, "-m", "embedded"], env=os.environ | {"DECANT_DATA_DIR": folder}, text=True,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert server.stdout is not None  # noqa: S101 - it is a pipe
    try:
        welcome = "".join(_until_ready(server.stdout))
        found = re.search(r"Base URL +(\S+)\n +Profile token +(\S+)\n(?:.*\n)*? +MQTT +(\S+)\n", welcome)
        if found is None:
            return server.wait(_END_S) or 1
        url, token, mqtt = found.groups()
        rest = threading.Thread(target=_show_problems, args=(server.stdout, stop), daemon=True)
        rest.start()
        print(f"\nOpen {url}/console and sign in with the profile token {token}\n", flush=True)
        wanted = Options(url, token, mqtt, _DEVICES, _EVERY_S, _HISTORY_S, _SEED, rounds)
        return command.simulate(wanted, stop)
    finally:
        server.terminate()
        server.wait(_END_S)


def _until_ready(lines: IO[str]) -> Iterator[str]:
    """Print and yield the server's first lines."""
    for line in lines:
        print(line, end="", flush=True)
        yield line
        if _LAST_LINE in line:
            return


def _show_problems(lines: IO[str], stop: threading.Event) -> None:
    """Print the server's log but for what went well; if the server ends, end too."""
    for line in lines:
        if _QUIET not in line:
            print(line, end="", flush=True)
    stop.set()
