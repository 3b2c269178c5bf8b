"""Checks a page of a browser with axe-core, which knows what people with a disability need of a page."""

from functools import cache
from pathlib import Path

import pytest

_FILE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"


@cache
def _script():
    return _FILE.read_text() if _FILE.exists() else None


def serious(page):
    """Return what axe finds serious or critical: the rule, and where. It waits until nothing moves."""
    script = _script()
    if script is None:
        pytest.skip("axe-core is not installed: npm ci in web/")
    page.evaluate("Promise.allSettled(document.getAnimations().map((animation) => animation.finished))")
    page.evaluate(script)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    rows = [row for row in found["violations"] if row["impact"] in ("serious", "critical")]
    return [f"{row['id']}: {node['html'][:120]}" for row in rows for node in row["nodes"]]
