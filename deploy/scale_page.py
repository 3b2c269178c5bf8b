"""Writes into docs/scale.md what its commands print, and the table of fleets: ``python -m deploy.scale_page``."""

import contextlib
import io
import re
import shlex
from pathlib import Path

from deploy.__main__ import main
from deploy.pricing import total
from deploy.scale import Fleet, bill, first
from deploy.scale_report import counted, name

PAGE = Path(__file__).parents[1] / "docs/scale.md"
FLEETS = {
    "one point a minute over HTTP": (60, 1, "http"),
    "60 points an hour over HTTP": (3_600, 60, "http"),
    "one point a minute over MQTT": (60, 1, "mqtt"),
    "60 points an hour over MQTT": (3_600, 60, "mqtt"),
}
SIZES = (1_000, 100_000, 10_000_000)
DEVICES_A_PROFILE = 10_000
_TABLE = re.compile(r"(<!-- fleets: [^>]* -->\n).*?(<!-- end of fleets -->)", re.DOTALL)
_RUN = re.compile(r"(```console\n\$ python -m deploy (scale [^\n]*)\n).*?(```)", re.DOTALL)


def fleet_table() -> str:
    """Return what fleets cost a month, and which limit comes first with ten profiles, in Markdown."""
    lines = ["| | 1,000 devices | 100,000 | 10,000,000 | first limit | enough for |", "|---|---|---|---|---|---|"]
    for title, (every_s, batch, path) in FLEETS.items():
        fleets = [Fleet(devices, every_s, batch, path, 12, max(1, devices // DEVICES_A_PROFILE)) for devices in SIZES]
        row, devices = first(fleets[1])
        dollars = " | ".join(f"{total(bill(fleet)):,.0f}" for fleet in fleets)
        lines.append(f"| {title} | {dollars} | {name(row)} | {counted(devices)} |")
    return "\n".join(lines)


def updated(text: str) -> str:
    """Return the text of docs/scale.md with what its commands print now."""
    text = _TABLE.sub(lambda found: f"{found[1]}\n{fleet_table()}\n\n{found[2]}", text)
    return _RUN.sub(lambda found: f"{found[1]}{_printed(found[2])}{found[3]}", text)


def _printed(command: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        main(shlex.split(command))
    return output.getvalue()


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
