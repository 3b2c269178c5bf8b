"""The catalogue of access management: what policies can allow an analysis or a run user.

A route's row names its grant as ``resource/action``. Source: TagoIO's catalogue, ``GET /am/settings``, without the
resources that Decant does not have. That policies may also name these is TagoIO's rule: such a permission matches
nothing.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from chalicelib.codec.tokens import Kind

Form = Literal["id", "tag", "tag_match", "any"]
"""How a tuple names objects: one by its id, by a tag, by a tag that caller and object share, or all of a resource."""
_ALL: tuple[Form, ...] = ("id", "tag", "tag_match", "any")
_NEW: tuple[Form, ...] = ("tag", "tag_match", "any")
_ONE: tuple[Form, ...] = ("id", "any")
_ANY: tuple[Form, ...] = ("any",)


class Grant(NamedTuple):
    """What a policy can allow."""

    resource: str
    action: str
    label: str
    match_by: tuple[Form, ...] = _ALL
    """The forms of tuples that may name the objects."""


LABELS = {
    "device": "Device",
    "access_management": "Access Management",
    "account": "Account",
    "action": "Action",
    "analysis": "Analysis",
    "connector": "Connector",
    "network": "Network",
    "run_user": "Run User",
    "service_authorization": "Service Authorization",
    "services": "Services",
}
"""The label of each resource of the catalogue."""
ANALYSIS = (
    Grant("device", "access", "Access"),
    Grant("device", "create", "Create", _NEW),
    Grant("device", "edit", "Edit"),
    Grant("device", "delete", "Delete"),
    Grant("device", "token_access", "Token access"),
    Grant("device", "get_data", "Get data"),
    Grant("device", "send_data", "Send data"),
    Grant("device", "edit_data", "Edit data"),
    Grant("device", "delete_data", "Delete data"),
    Grant("device", "manage_chunks", "Manage chunks"),
    Grant("device", "export_data", "Export data"),
    Grant("device", "import_data", "Import data"),
    Grant("access_management", "access", "Access"),
    Grant("access_management", "create", "Create", _NEW),
    Grant("access_management", "edit", "Edit"),
    Grant("access_management", "delete", "Delete"),
    Grant("account", "access", "Access account information", _ANY),
    Grant("account", "access_profile", "Access profile", _ONE),
    Grant("account", "access_profile_statistics", "Access profile statistics", _ONE),
    Grant("action", "access", "Access"),
    Grant("action", "create", "Create", _NEW),
    Grant("action", "edit", "Edit"),
    Grant("action", "delete", "Delete"),
    Grant("analysis", "access", "Access"),
    Grant("analysis", "create", "Create and edit", _NEW),
    Grant("analysis", "delete", "Delete"),
    Grant("connector", "access", "Access"),
    Grant("network", "access", "Access"),
    Grant("run_user", "access", "Access"),
    Grant("run_user", "create", "Create", _NEW),
    Grant("run_user", "edit", "Edit"),
    Grant("run_user", "delete", "Delete"),
    Grant("run_user", "login_as_user", "Login as user"),
    Grant("service_authorization", "access", "Access", _ANY),
    Grant("service_authorization", "create", "Create", _ANY),
    Grant("service_authorization", "edit", "Edit", _ANY),
    Grant("service_authorization", "delete", "Delete", _ANY),
    Grant("services", "mqtt_publish", "Publish over MQTT", _ANY),
)
"""What policies can allow an analysis."""
RUN_USER = (Grant("device", "access", "Access"),)
"""What policies can allow a run user: a device, with its data."""
CATALOGUE: Mapping[Kind, tuple[Grant, ...]] = {"analysis": ANALYSIS, "run_user": RUN_USER}
"""By the kind of caller. Callers of other kinds are not governed by policies."""
RESOURCES = frozenset(LABELS) | {
    "dashboard",
    "dictionary",
    "entity",
    "file",
    "notification",
    "profile",
    "secrets",
    "sql",
}
"""Resources that a policy may name."""
ACTIONS = frozenset(grant.action for grant in ANALYSIS) | {
    "arrangement", "duplicate", "execute", "related_analysis", "related_devices", "upload",
}  # fmt: skip
"""Actions that a policy may name."""
_FORMS = {
    (kind, f"{grant.resource}/{grant.action}"): grant.match_by for kind, grants in CATALOGUE.items() for grant in grants
}


def needed(kind: Kind, grant: str) -> str:
    """Return the grant that a caller needs for a route. ``device/access`` lets a run user read the data, too."""
    return "device/access" if (kind, grant) == ("run_user", "device/get_data") else grant


def forms(kind: Kind, grant: str) -> tuple[Form, ...]:
    """Return the forms of tuples by which a policy can give a grant to callers of this kind; empty: none."""
    return _FORMS.get((kind, grant), ())


def shown() -> dict[str, Any]:
    """Return the catalogue as ``GET /am/settings`` shows it."""
    settings: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for kind, grants in CATALOGUE.items():
        callers = "analyses" if kind == "analysis" else "run users"
        for grant in grants:
            entry = {
                "label": grant.label,
                "value": grant.action,
                "description": f"{LABELS[grant.resource]}: lets {callers} {grant.action.replace('_', ' ')}",
                "match_by": [*grant.match_by],
            }
            settings.setdefault(kind, {}).setdefault(grant.resource, []).append(entry)
    return {"resources": {name: {"label": label} for name, label in LABELS.items()}, "settings": settings}
