"""The simulated devices: finds those of an earlier start by their tags, and makes what is missing."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from embedded.simulate import kinds
from embedded.simulate.api import Api

TAG = "simulator"
"""The tag of every simulated device. Its value is the seed."""
_NUMBER = "number"
_PAGE = 1_000
_KEEP_MONTHS = 6
"""How long devices that send often keep their points."""


class Device(NamedTuple):
    """A simulated device."""

    number: int
    token: str


def devices(api: Api, token: str, seed: int, count: int) -> Iterator[Device]:
    """Yield ``count`` devices. Cost: a request for a thousand that exist, and one for each.

    Args:
        api: the API.
        token: a profile token with the permission ``full``.
        seed: two seeds have devices of their own.
        count: how many.

    Raises:
        Failed: the API refuses, for example because the plan allows fewer devices.
    """
    existing = dict(_existing(api, token, seed))
    for number in range(count):
        if number in existing:
            yield Device(number, _token(api, token, existing[number]))
        else:
            yield Device(number, str(api.call("POST", "/device", token, _body(seed, number))["token"]))


def _existing(api: Api, token: str, seed: int) -> Iterator[tuple[int, str]]:
    query = {"filter[tags][0][key]": TAG, "filter[tags][0][value]": seed, "fields[0]": "tags", "amount": _PAGE}
    page, is_more = 1, True
    while is_more:
        rows = api.call("GET", "/device", token, query={**query, "page": page})
        for row in rows:
            tags = {tag["key"]: tag["value"] for tag in row["tags"]}
            if tags.get(_NUMBER, "").isdigit():
                yield int(tags[_NUMBER]), row["id"]
        page, is_more = page + 1, len(rows) == _PAGE


def _body(seed: int, number: int) -> dict[str, Any]:
    kind = kinds.kind_of(number)
    tags = {TAG: str(seed), _NUMBER: str(number), "kind": kind}
    body = {
        "name": f"{kinds.KINDS[kind].title} {number // len(kinds.KINDS) + 1}",
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    if kind == "door":  # sends little, so a mutable device has room for years
        return body
    return body | {"type": "immutable", "chunk_period": "month", "chunk_retention": _KEEP_MONTHS}


def _token(api: Api, token: str, device: str) -> str:
    """Return the text of a token with which the device may send; one is made if there is none."""
    query = {"fields[0]": "token", "fields[1]": "permission", "fields[2]": "expire_time"}
    for row in api.call("GET", f"/device/token/{device}", token, query=query):
        if row["permission"] == "full" and row["expire_time"] == "never":
            return str(row["token"])
    body = {"device": device, "name": "Simulator", "permission": "full"}
    return str(api.call("POST", "/device/token", token, body)["token"])


def newest_s(api: Api, device: Device) -> float:
    """Return the time of the device's newest point, in seconds since 1970; 0: it has none."""
    points = api.call("GET", "/data", device.token, query={"query": "last_item"})
    times = (datetime.fromisoformat(point["time"]).timestamp() for point in points)
    return max(times, default=0.0)
