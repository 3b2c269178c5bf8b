"""``python -m deploy.openapi_page`` writes docs/openapi.json."""

from pathlib import Path

import orjson

from chalicelib import routes
from chalicelib.openapi import document

PAGE = Path(__file__).parents[1] / "docs/openapi.json"


def page() -> str:
    """Return the file: the document with the price plans of the settings, in lines."""
    parsed = orjson.loads(document.text(routes.ALL))
    return orjson.dumps(parsed, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


if __name__ == "__main__":
    PAGE.write_text(page())
