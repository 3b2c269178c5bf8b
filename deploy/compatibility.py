"""``python -m deploy.compatibility`` writes the rows of docs/compatibility.md that the route table knows.

The page lists every endpoint of the contract. Endpoints that Decant does not have, and what is no route, are written by
hand and stay as they are.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from chalicelib import routes
from chalicelib.http.route import Route

PAGE = Path(__file__).parents[1] / "docs/compatibility.md"
_ENDPOINT = re.compile(r"\| `([A-Z]+ /[^`]*)` \|")
_PARTLY = "partly: "


def page(text: str, rows: Iterable[Route]) -> str:
    """Return the page with the rows of the table written anew.

    Args:
        text: the page as it is.
        rows: the route table.

    Raises:
        LookupError: the page has no line for a row, so nobody knows the section where it belongs.
    """
    lines = {f"{row.method} {row.path}": _line(row) for row in rows}
    written = []
    for line in text.split("\n"):
        match = _ENDPOINT.match(line)
        written.append(lines.pop(match[1], line) if match else line)
    if lines:
        raise LookupError(f"docs/compatibility.md has no line for {', '.join(lines)}: add one with the state `not yet`")
    return "\n".join(written)


def _line(row: Route) -> str:
    state = "partly" if row.note.startswith(_PARTLY) else "works"
    token = f"{' or '.join(row.who)}: {row.need}" if row.who else "none"
    token = f"{token}; grant `{row.grant}`" if row.grant else token
    return f"| `{row.method} {row.path}` | {token} | {state} | {row.note.removeprefix(_PARTLY)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), routes.ALL))
