"""Refuses what DynamoDB refuses and moto accepts.

That is: empty keys, repeated keys, items or numbers that are too large, and ranges that end before they begin.
"""

import json
import re

from botocore.exceptions import ClientError

KEY_NAMES = ("device", "key", "owner", "name")
"""The key attributes of both tables."""


def be_strict(params, model, **_):
    """Refuse a call that DynamoDB would refuse. It is a botocore handler of before-parameter-build."""
    if model.name == "BatchWriteItem":
        _check_batch(params["RequestItems"], model.name)
    if model.name == "TransactWriteItems":
        _check_transaction([*map(next, map(iter, map(dict.values, params["TransactItems"])))], model.name)
    _check_item(params.get("Item", {}), model.name)
    _check_item(params.get("Key", {}), model.name, is_key=True)
    for low, high in re.findall(r"BETWEEN (:\w+) AND (:\w+)", params.get("KeyConditionExpression", "")):
        first, last = (params["ExpressionAttributeValues"][name]["S"] for name in (low, high))
        if first > last:
            raise _invalid(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound", model.name
            )
    for attribute in params.get("ExpressionAttributeValues", {}).values():
        if attribute.get("S") == "":
            raise _invalid("One or more parameter values are not valid: an empty key value", model.name)


def _check_batch(tables, operation):
    """Refuse more than 25 requests, and two with one key."""
    for table, requests in tables.items():
        keys = [json.dumps(_key(request), sort_keys=True, default=str) for request in requests]
        if len(keys) != len(set(keys)):
            raise _invalid("Provided list of item keys contains duplicates", operation)
        if not 1 <= len(requests) <= 25:
            raise _invalid(f"Too many items in {table}", operation)
        for request in requests:
            _check_item(request.get("PutRequest", {}).get("Item", {}), operation)


def _check_transaction(parts, operation):
    """Refuse more than 100 parts, two parts with one key, and more than 4 MB."""
    keys = [
        json.dumps([part["TableName"], _key({"DeleteRequest": {"Key": part.get("Key") or part["Item"]}})])
        for part in parts
    ]
    if not 1 <= len(parts) <= 100:
        raise _invalid("Member must have length less than or equal to 100", operation)
    if len(keys) != len(set(keys)):
        raise _invalid("Transaction request cannot include multiple operations on one item", operation)
    for part in parts:
        _check_item(part.get("Item", {}), operation)
    if sum(len(str(part.get("Item", ""))) for part in parts) > 16_000_000:  # bytes are up to four times as long as text
        raise _invalid("Transaction size has exceeded the maximum allowed size", operation)


def _key(request):
    """Return the key of one request of a batch."""
    attributes = request.get("DeleteRequest", {}).get("Key") or request["PutRequest"]["Item"]
    return {name: attributes[name] for name in KEY_NAMES if name in attributes}


def _check_item(item, operation, is_key=False):
    """Refuse an item with an empty key, a number of more than 38 digits, or more than 400 kB."""
    size_bytes = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        content = value if isinstance(value, bytes) else str(value).encode()
        size_bytes += len(name.encode()) + len(content)
        if (is_key or name in KEY_NAMES) and kind == "S" and not value:
            raise _invalid(f"The key attribute {name} is empty", operation)
        if kind == "N" and len(value.strip("-0").replace(".", "")) > 38:
            raise _invalid("Attempting to store more than 38 significant digits in a Number", operation)
    if size_bytes > 409_600:
        raise _invalid("Item size has exceeded the maximum allowed size", operation)


def _invalid(message, operation):
    """Return DynamoDB's error for an invalid call."""
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, operation)
