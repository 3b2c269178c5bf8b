"""The quotas of AWS that limit a deployment. ``python -m deploy.quotas`` writes their table into docs/deploy.md.

quotas.json holds them by name: the default of an account. Service Quotas shows those of an account.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "docs/deploy.md"
_BEGIN, _END = "<!-- quotas: python -m deploy.quotas writes this table -->\n", "<!-- end of quotas -->"


class Quota(NamedTuple):
    """A quota of an account and region."""

    service: str
    limits: str
    """What it limits, with the unit."""
    figure: int
    """The default."""
    adjustable: bool
    """Whether AWS raises it on request."""
    source: str
    """Where AWS says so."""
    date: str
    """When it was looked up."""
    note: str = ""


@lru_cache(maxsize=1)
def load() -> dict[str, Quota]:
    """Return the quotas by name."""
    rows = json.loads(Path(__file__).with_name("quotas.json").read_text())
    return {name: Quota(**row) for name, row in rows.items()}


def date() -> str:
    """Return the date of the quota that was looked up the longest ago."""
    return min(quota.date for quota in load().values())


def table() -> str:
    """Return the table of quotas in Markdown."""
    rows = []
    for quota in load().values():
        limits = f"{quota.limits[0].upper()}{quota.limits[1:]}" + (f". {quota.note}" if quota.note else "")
        adjustable = "yes" if quota.adjustable else "no"
        rows.append(
            f"| {quota.service} | {limits} | {quota.figure:,} | {adjustable} | [AWS]({quota.source}), {quota.date} |\n"
        )
    return "| Service | What it limits | Default | Can be raised | Source |\n|---|---|---|---|---|\n" + "".join(rows)


def updated(text: str) -> str:
    """Return the text of docs/deploy.md with the table as it is now."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{table()}\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
