"""``python -m embedded.settings_page``: writes docs/settings.md from the settings and their docstrings."""

import ast
import dataclasses
import inspect
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chalicelib.settings import Settings
from embedded.settings import EmbeddedSettings

PATH = Path(__file__).parents[1] / "docs/settings.md"
_PAGE = """\
# Settings

Written by `make docs` from the docstrings of `embedded/settings.py` and `chalicelib/settings.py`; a test compares it.
All settings are environment variables, read once when the process starts. A variable that is empty counts as not set. A
variable that breaks a rule is named, and nothing starts; on AWS, each request then answers 500, and the log names it. A
name that begins with `DECANT_` and is not in these tables gets a warning.

## Embedded mode

`python -m embedded` (`make run`) reads these and the ones of the next table.

{embedded}

## Embedded mode and AWS

A flag is on if its text is `1`, `true`, `yes` or `on`, off if it is `0`, `false`, `no` or `off`, in any case. Any
other text is refused.

On AWS, `python -m deploy up` sets the names of tables, parameter, queue and rule. You can add the other variables to
the stage's `environment_variables` in `.chalice/config.json`; `up` keeps them.

{api}
"""


def rows(model: type[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the variable, the default and the meaning of each field of a settings class.

    Raises:
        ValueError: a field has no docstring.
    """
    (body,) = (node.body for node in ast.parse(inspect.getsource(model)).body if isinstance(node, ast.ClassDef))
    meanings = {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
    for field in dataclasses.fields(model):
        if field.name not in meanings:
            raise ValueError(f"{model.__name__}.{field.name} has no docstring")
        default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default or "none")
        shown = default if default == "none" else f"`{default}`"
        yield f"DECANT_{field.name.upper()}", shown, " ".join(str(meanings[field.name]).split()).replace("``", "`")


def _table(model: type[Any]) -> str:
    lines = [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in rows(model)]
    return "\n".join(["| Variable | Default | Meaning |", "|---|---|---|", *lines])


def page() -> str:
    """Return the text of docs/settings.md."""
    return _PAGE.format(embedded=_table(EmbeddedSettings), api=_table(Settings))


if __name__ == "__main__":
    PATH.write_text(page())
