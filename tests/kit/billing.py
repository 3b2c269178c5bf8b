"""Counts DynamoDB calls, and their billed units and bytes."""

import contextlib
from collections import Counter

from tests.kit.faults import hook


class Calls(Counter[str]):
    """How often each operation was called, and the billed units."""

    def __init__(self):
        super().__init__()
        self.units: Counter[str] = Counter()
        """Units of 1 kB written and of 4 kB read."""
        self.stored_bytes = 0
        self.is_half = False
        """Whether the current read is not consistent. Such a read costs half."""


@contextlib.contextmanager
def counting():
    """Count DynamoDB calls, and the billed units and bytes."""
    calls = Calls()

    def before(params, model, **_):
        calls.is_half = params.get("ConsistentRead") is False
        if model.name == "PutItem":
            calls.stored_bytes += item_bytes(params["Item"])
            calls.units["write"] += -(-item_bytes(params["Item"]) // 1024)
        elif model.name in ("UpdateItem", "DeleteItem"):  # only of small items
            calls.units["write"] += 1
        elif model.name == "TransactWriteItems":  # each part costs twice
            for (part,) in map(dict.values, params["TransactItems"]):
                calls.units["write"] += 2 * -(-item_bytes(part.get("Item", part.get("Key"))) // 1024)

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
