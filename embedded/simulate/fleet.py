"""The simulated devices: finds those of an earlier start by their tags, and makes what is missing."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from embedded.client import Api
from embedded.simulate import kinds

TAG = "simulator"
"""The tag of every simulated device. Its value is the seed."""
_NUMBER = "number"
_PAGE = 1_000
_KEEP_MONTHS = 6
"""How long devices that send often keep their points."""


class Device(NamedTuple):
    """A simulated device."""

    number: int
    api: Api
    """With a token of the device."""


def devices(api: Api, seed: int, count: int) -> Iterator[Device]:
    """Yield ``count`` devices. Cost: a request for a thousand that exist, and one for each.

    Args:
        api: the API, with a profile token of the permission ``full``.
        seed: two seeds have devices of their own.
        count: how many.

    Raises:
        Refused: the API refuses, for example because the plan allows fewer devices.
        Stopped: it cannot be reached.
    """
    existing = dict(_existing(api, seed))
    for number in range(count):
        if number in existing:
            token = _token(api, existing[number])
        else:
            token = api.call("POST", "/device", body=_body(seed, number))["token"]
        yield Device(number, api.with_token(token))


def _existing(api: Api, seed: int) -> Iterator[tuple[int, str]]:
    query = (("filter[tags][0][key]", TAG), ("filter[tags][0][value]", seed))
    for row in api.pages("/device", ("id", "tags"), query, amount=_PAGE):
        tags = {tag["key"]: tag["value"] for tag in row["tags"]}
        if tags.get(_NUMBER, "").isdigit():
            yield int(tags[_NUMBER]), row["id"]


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


def _token(api: Api, device: str) -> str:
    """Return the text of a token with which the device may send; one is made if there is none."""
    for row in api.pages(f"/device/token/{device}", ("token", "permission", "expire_time")):
        if row["permission"] == "full" and row["expire_time"] == "never":
            return str(row["token"])
    body = {"device": device, "name": "Simulator", "permission": "full"}
    return str(api.call("POST", "/device/token", body=body)["token"])


def newest_s(device: Device) -> float:
    """Return the time of the device's newest point, in seconds since 1970; 0: it has none."""
    points = device.api.call("GET", "/data", query=[("query", "last_item")])
    times = (datetime.fromisoformat(point["time"]).timestamp() for point in points)
    return max(times, default=0.0)
