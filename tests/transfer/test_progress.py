"""A bar on a terminal, plain lines elsewhere."""

import os
import pty
import re
import subprocess
import sys

from embedded.transfer import progress
from tests.program import ROOT, fresh_environment
from tests.transfer.conftest import ndjson, some


def test_terminal_gets_a_bar(site, tmp_path):
    _, token = site.device()
    (tmp_path / "a.ndjson").write_text(ndjson(some(3_000)))
    ours, theirs = pty.openpty()
    environment = {
        "PYTHONPATH": str(ROOT),
        "TAGOIO_API": site.url,
        "DECANT_TOKEN": token,
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "embedded", "import", "a.ndjson"], cwd=tmp_path, stderr=theirs, stdout=theirs,
        env=fresh_environment() | environment,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 10_000)
        except OSError:  # Linux's end of a terminal
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(30) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "Importing a.ndjson ━" in text and "100%" in text and text.endswith("a.ndjson: 3,000 points stored\r\n")


def test_elsewhere_a_line_comes_every_ten_seconds(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Shown("Importing a.csv") as shown:
        for now[0], done in ((5.0, 10), (11.0, 20), (15.0, 30), (25.0, 40)):
            shown.step(done, 80, f"{done} points")
        shown.step(50, None, "50 points")
    assert capsys.readouterr().err == "Importing a.csv: 20 points, 25 %\nImporting a.csv: 40 points, 50 %\n"
