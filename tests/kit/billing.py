"""Counts DynamoDB calls, and the units and bytes they are billed as."""

import contextlib
from collections import Counter

from tests.kit.faults import hook


@contextlib.contextmanager
def counting():
    """Count DynamoDB calls by operation, and in ``units`` what is billed: each 1 kB written, each 4 kB read."""
    calls = Counter()
    calls.units, calls.stored_bytes = Counter(), 0

    def before(params, model, **_):
        calls.is_half = params.get("ConsistentRead") is False
        if model.name == "PutItem":
            calls.stored_bytes += item_bytes(params["Item"])
            calls.units["write"] += -(-item_bytes(params["Item"]) // 1024)
        elif model.name == "UpdateItem":  # only counters, which are small
            calls.units["write"] += 1

    def after(model, parsed, **_):
        calls[model.name] += 1
        if model.name in ("GetItem", "Query"):
            items = parsed.get("Items", [parsed["Item"]] if "Item" in parsed else [])
            calls.units["read"] += max(1, -(-sum(map(item_bytes, items)) // 4096)) / (1 + calls.is_half)

    with hook("before-parameter-build.dynamodb", before), hook("after-call.dynamodb", after):
        yield calls


def item_bytes(item):
    """Return the size of a low-level item as DynamoDB counts it."""
    size_bytes = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        if kind == "N":
            size_bytes += len(name) + len(value.lstrip("-").replace(".", "").strip("0")) // 2 + 2
        else:
            size_bytes += len(name) + len(value if isinstance(value, bytes) else value.encode())
    return size_bytes
