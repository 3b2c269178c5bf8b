"""Says over which stores a test of many rows runs."""

from typing import Any

import pytest


def on_stores(rows: Any) -> Any:
    """Run a test for each row over SQLite, and for every eighth over DynamoDB: the wrapper does not know the store."""
    cases = [*(("sqlite", row) for row in rows), *(("dynamo", row) for row in rows[::8])]
    ids = [f"{store}-{row.key}" for store, row in cases]
    return pytest.mark.parametrize(("each_store", "row"), cases, ids=ids, indirect=["each_store"])
