"""The shapes of actions, policies, analyses, run users, connectors and networks."""

from typing import Any, Literal, Required

from typing_extensions import TypedDict

from chalicelib.openapi.results import Time
from chalicelib.schemas.actions import Insert, Trigger
from chalicelib.schemas.analyses import Variable
from chalicelib.schemas.fields import Tag
from chalicelib.schemas.integrations import DeviceParameter, SerialRule
from chalicelib.schemas.points import PointIn


class ActionCreated(TypedDict):
    """The id of a new action."""

    action: str


class _ActionFields(TypedDict, total=False):
    name: str
    active: bool
    tags: list[Tag]
    description: str | None
    type: str
    trigger: list[Trigger]
    action: Insert
    lock: bool
    trigger_when_unlock: bool
    profile: str
    last_triggered: None
    created_at: Time
    updated_at: Time


class Action(_ActionFields):
    """An action."""

    id: str


class PolicyCreated(TypedDict):
    """The id of a new policy."""

    am_id: str


class PolicyRow(TypedDict, total=False):
    """A policy in a list."""

    id: Required[str]
    tags: Required[list[Tag]]
    profile: Required[str]
    name: str
    active: bool
    created_at: Time
    updated_at: Time


class PolicyPermission(TypedDict):
    """What a policy allows or denies."""

    effect: Literal["allow", "deny"]
    action: list[str]
    resource: list[Any]


class Policy(PolicyRow):
    """A policy."""

    permissions: list[PolicyPermission]
    targets: list[list[Any]]


class PolicyResource(TypedDict):
    """A kind of object that policies name."""

    label: str


class PolicyAction(TypedDict):
    """What a policy can allow, and how it can name objects."""

    label: str
    value: str
    description: str
    match_by: list[str]


class PolicySettings(TypedDict):
    """What policies can allow: the resources, and by caller and resource the actions."""

    resources: dict[str, PolicyResource]
    settings: dict[str, dict[str, list[PolicyAction]]]


class AnalysisCreated(TypedDict):
    """A new analysis, with its token."""

    id: str
    token: str


class AnalysisToken(TypedDict):
    """The token of an analysis."""

    analysis_token: str


class AnalysisRow(TypedDict, total=False):
    """An analysis in a list."""

    id: Required[str]
    name: str
    description: str | None
    active: bool
    run_on: str
    runtime: str | None
    interval: str | None
    file_name: str | None
    tags: list[Tag]
    profile: str
    last_run: None
    locked_at: None
    created_at: Time
    updated_at: Time


class Analysis(AnalysisRow, total=False):
    """An analysis. Its token is null for callers that may not see it."""

    variables: list[Variable]
    console: list[str]
    token: str | None


class UserCreated(TypedDict):
    """The id of a new run user."""

    user: str


class RunUserRow(TypedDict, total=False):
    """A run user in a list."""

    id: Required[str]
    name: str
    email: str
    active: bool
    tags: list[Tag]
    profile: str
    timezone: str
    company: str | None
    phone: str | None
    language: str | None
    newsletter: bool
    options: dict[str, Any] | None
    force_password_change: bool
    last_login: None
    created_at: Time
    updated_at: Time


class RunUser(RunUserRow):
    """A run user."""

    custom_preferences: dict[str, Any] | None


class _Integration(TypedDict, total=False):
    id: Required[str]
    name: str
    description: str | None
    logo_url: str | None
    device_parameters: list[DeviceParameter]
    payload_decoder: str | None
    payload_encoder: str | None
    public: bool
    profile: str | None
    created_at: Time
    updated_at: Time


class ConnectorCreated(TypedDict):
    """The id of a new connector."""

    connector: str


class Connector(_Integration, total=False):
    """A connector."""

    networks: list[str]
    install_text: str | None
    install_end_text: str | None
    device_annotation: str | None


class NetworkCreated(TypedDict):
    """The id of a new network."""

    network: str


class Network(_Integration, total=False):
    """A network."""

    icon_url: str | None
    banner_url: str | None
    middleware_endpoint: str | None
    documentation_url: str | None
    serial_number: SerialRule | None
    require_devices_access: bool


class ParserError(TypedDict):
    """Why a payload parser failed. The line is null if it is not known."""

    message: str
    line: int | None


class Trial(TypedDict):
    """What a payload parser makes of a sample: points, or an error."""

    points: list[PointIn]
    log: list[str]
    serial: str | None
    error: ParserError | None
