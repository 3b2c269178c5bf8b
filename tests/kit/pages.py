"""Reads commands and examples in documents, and compares what they print with what the page shows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_VOLATILE = {
    r"\b(?:p-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "TOKEN",
    r"\b[0-9a-f]{24}\b": "ID",
    r'"time":"20[^"]+Z","metadata"': '"time":"TIME","metadata"',  # the others are in the command
    r'"uptime_s":\d+': '"uptime_s":SECONDS',
    r"(Password +)\S+": r"\1PASSWORD",
    r"https://\w+\.execute-api": "https://API.execute-api",
    r"\b(API|throttling) +\w{10}\b": r"\1 API",
}


def text(name):
    """Return a document below docs/."""
    return (ROOT / "docs" / name).read_text()


def steps(page):
    """Return the commands of a page's ``console`` blocks in order, each with the output that is shown."""
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return [step for block in blocks for step in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]


def examples(page, language):
    """Return the programs of a page in a language, each with the output that follows at once, if one does."""
    pattern = rf"^```{language}\n(.*?)^```\n(?:\n```text\n(.*?)^```)?"
    return re.findall(pattern, page, re.DOTALL | re.MULTILINE)


def plain(printed):
    """Replace the parts that differ from run to run."""
    for pattern, word in _VOLATILE.items():
        printed = re.sub(pattern, word, printed)
    return [line.rstrip() for line in printed.strip().splitlines()]


def assert_shown(printed, shown):
    """Assert that a page shows what was printed. A line with nothing but … stands for any lines."""
    pattern = r"\n".join(r"(?:.*\n)*?.*" if line == "…" else re.escape(line) for line in plain(shown))
    assert re.fullmatch(pattern, "\n".join(plain(printed))), f"printed:\n{printed}\nshown:\n{shown}"
