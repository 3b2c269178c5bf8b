"""Runs commands on a data folder, and spoils its files."""

import os
import sqlite3
import subprocess
import sys

from tests.program import ROOT, fresh_environment


def run(directory, *arguments, **environment):
    """Run ``python -m embedded`` on a data folder until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "embedded", *arguments], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60,
        env=fresh_environment() | {"DECANT_DATA_DIR": str(directory), "DECANT_HTTP_PORT": "0", "DECANT_MQTT_PORT": "0"} | environment,
    )  # fmt: skip


def overwrite(path, at, content):
    """Replace bytes of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def damage(path):
    """Damage all pages of a database but the first."""
    for at in range(8192, path.stat().st_size, 8192):
        overwrite(path, at, b"\xff" * 500)


def cut(path):
    """Remove the second half of a database."""
    os.truncate(path, path.stat().st_size // 2 // 8192 * 8192)


def foreign(path):
    """Replace a database by that of another program."""
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text TEXT)")
    db.close()
