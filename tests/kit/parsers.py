"""Payload parsers for tests: gives them to devices, and records what the inspector shows."""

import base64
from typing import Any

from chalicelib import sandbox
from chalicelib.host import events
from chalicelib.services.devices import devices
from chalicelib.services.devices.integrations import CONNECTOR, NETWORK
from chalicelib.services.entities import create
from chalicelib.store import names
from guest import build

CONNECTOR_ID, NETWORK_ID = "64b000000000000000000001", "64b000000000000000000002"


def ready():
    """Build the engine if it is not there yet."""
    build.ensure(sandbox.target())


def encoded(source):
    """Return a source as clients send it."""
    return base64.b64encode(source.encode()).decode()


def give(world, source):
    """Make a source the device's own parser. None: it has none any more."""
    sent: Any = {"payload_decoder": None if source is None else encoded(source)}
    devices.edit(profile=world.profile, device=world.device, sent=sent)


def integration(world, kind, source):
    """Store a connector or a network of the profile, under the id ``CONNECTOR_ID`` or ``NETWORK_ID``."""
    decoder = None if source is None else encoded(source)
    doc_id = {"connector": CONNECTOR_ID, "network": NETWORK_ID}[kind]
    found = {"connector": CONNECTOR, "network": NETWORK}[kind]
    doc = {"id": doc_id, "profile": world.profile, "name": kind, "payload_decoder": decoder, "networks": [NETWORK_ID]}
    create(found.kind, owner=names.profile(world.profile), doc={**found.unset, **doc})


class Inspector(events.Nobody):
    """Records what the inspector shows: pairs of title and content."""

    def __init__(self):
        self.entries = []

    def seen(self, device, title, content):
        """See Watcher."""
        self.entries.append((title, content))

    @property
    def lines(self):
        """What payload parsers wrote, a line each."""
        return [line for title, content in self.entries if title == "[Parser] Log" for line in content.splitlines()]
