"""Makes callers that policies govern, and policies."""

from tests.kit.api import Api


class Analysis:
    """An analysis of a world's profile, with a caller for it."""

    def __init__(self, world, tags=(), **fields):
        made = world.admin.post("/analysis", {"name": "Analysis", "tags": tagged(*tags), **fields}).result
        self.id, self.token = made["id"], made["token"]
        self.api = Api(self.token)


class RunUser:
    """A run user of a world's profile, with a caller for it."""

    def __init__(self, world, tags=(), email="user@example.org", **fields):
        sent = {"name": "User", "email": email, "password": "a secret", "active": True, "tags": tagged(*tags), **fields}
        self.id = world.admin.post("/run/users", sent).result["user"]
        self.token = world.admin.get(f"/run/users/{self.id}/login").result["token"]
        self.api = Api(self.token)


def tagged(*pairs):
    """Return tags, each from ``key=value``."""
    return [dict(zip(("key", "value"), pair.split("="), strict=True)) for pair in pairs]


def rule(effect, action, *resource):
    """Return a permission. ``action`` may name several, apart by commas."""
    return {"effect": effect, "action": action.split(","), "resource": [*resource]}


def policy(world, *rules, targets=(["analysis"],), **fields):
    """Create a policy; return its id."""
    sent = {"name": "Policy", "permissions": [*rules], "targets": [*targets], **fields}
    return world.admin.post("/am", sent).result["am_id"]


def device(world, *tags, **fields):
    """Create a device with tags; return its id."""
    return world.admin.post("/device", {"name": "Tagged", "tags": tagged(*tags), **fields}).result["device_id"]
