"""Makes networks with callers, and devices in them."""

import base64

from tests.kit.api import Api


class Network:
    """A network of a world's profile, with a caller that has a full token of it.

    Args:
        world: the world.
        permission: that of the token.
        creates: whether the token may create devices.
        fields: of the network; ``parser`` is the source of its payload parser.
    """

    def __init__(self, world, *, permission="full", creates=False, parser=None, **fields):
        if parser is not None:
            fields["payload_decoder"] = base64.b64encode(parser.encode()).decode()
        self.world = world
        self.id = world.admin.post("/integration/network", {"name": "Network", **fields}).result["network"]
        self.connector = world.admin.post(
            "/integration/connector", {"name": "Connector", "networks": [self.id]}
        ).result["connector"]
        self.token = self.new_token(permission, creates)
        self.api = Api(self.token)

    def new_token(self, permission="full", creates=False, **sent):
        """Return another token of the network."""
        sent = {"network": self.id, "name": "t", "permission": permission, **sent}
        sent["privileges"] = {"createDevice": creates}
        return self.world.admin.post("/integration/network/token", sent).result["token"]

    def device(self, serial=None, world=None, **fields):
        """Create a device of the network, in the profile of its own world or of another one; return id and token."""
        sent = {"name": "Device", "network": self.id, "connector": self.connector, "serie_number": serial, **fields}
        made = (world or self.world).admin.post("/device", sent).result
        return made["device_id"], made["token"]


def authorization(world, permission="full"):
    """Return a service authorization of a world's profile."""
    return world.admin.post("/serviceauth", {"name": "a", "permission": permission}).result["token"]
