"""Makes a profile with a device, a caller for each of the two, points to send, and replacements for hosts."""

from typing import Any

from chalicelib.services.access import reach
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import devices
from chalicelib.store import Delta
from chalicelib.store.dynamodb_counters import add
from tests.kit.api import Api
from tests.kit.clock import NOW_MS

SCHEDULED = {
    "version": "0", "account": "1", "region": "r", "detail": {}, "detail-type": "Scheduled Event", "source": "aws.events",
    "time": "2026-09-21T14:00:00Z", "id": "1", "resources": [],
}  # fmt: skip
"""The event that starts the housekeeping."""


class World:
    """A profile with a device, and a caller for each.

    Args:
        account: the id of the account that owns the profile; empty: none does yet.
        sent: fields of the device.
    """

    def __init__(self, account="", **sent):
        self.profile, self.profile_token = profiles.create(name="Test", account=account)
        self.admin = Api(self.profile_token)
        device: Any = {"name": "Device", **sent}
        made = devices.create(profile=self.profile, sent=device)
        self.device, self.token = made["device_id"], made["token"]
        self.api = Api(self.token)

    @property
    def doc(self):
        """The device's document, as stored."""
        return reach.device_or_raise(profile=self.profile, device=self.device)

    def send(self, *points, **kwargs):
        """Send points as the device; return the result."""
        return self.api.post("/data", list(points), **kwargs).result

    def read(self, **query):
        """Read points as the device; return the result."""
        return self.api.get("/data", query=query).result


def point(variable="temperature", value=1, **fields):
    """Return a point to send."""
    return {"variable": variable, "value": value, **fields}


def values(points):
    """Return the value of each point, None for a point without."""
    return [one.get("value") for one in points]


def count_stream(world, points_in, records):
    """Add to a device's counters, as the stream's function does."""
    added = Delta(world.device, world.profile, points_in, records, NOW_MS, mark(0), mark(1), NOW_MS // 3_600_000)
    assert add(added) is None


def mark(number, stream="2026-09-01T00:00:00.000"):
    """Return the mark of a change in a stream."""
    return f"{stream} {number:040}"


class Recorder:
    """An MQTT host that records its calls."""

    def __init__(self):
        self.published, self.ended, self.forgotten = [], [], []

    def publish(self, **message):
        """Record a message to publish."""
        self.published.append(message)

    def forget(self, *, device):
        self.forgotten.append(device)

    def disconnect(self, *, client_id):
        """Record a session to end."""
        self.ended.append(client_id)
