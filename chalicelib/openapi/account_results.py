"""The shapes of ``result`` of the routes of accounts, profiles and the API itself."""

from typing import Any, Literal, NotRequired, Required

from typing_extensions import TypedDict

from chalicelib.openapi.device_results import Device, RequestsPerMinute
from chalicelib.openapi.object_results import Analysis, Network, RunUser
from chalicelib.openapi.results import Count, Time
from chalicelib.openapi.token_results import TokenRow


class Index(TypedDict):
    """What this is, and the paths of the console, of the page about the API, of this document and of the status."""

    name: Literal["Decant"]
    version: str
    console: str
    docs: str
    openapi: str
    status: str


class Status(TypedDict):
    """The state of this installation."""

    version: str
    uptime_s: int
    store: Literal["sqlite", "dynamodb"]
    health: Literal["ok", "read-only"]


Info = Device | Analysis | RunUser | Network | TokenRow
"""What the token stands for."""


class Otp(TypedDict):
    """Which kinds of one-time pin an account uses."""

    authenticator: bool
    sms: bool
    email: bool


class Invitation(TypedDict):
    """An invitation to a team."""

    token: str
    profile: str
    name: str
    created_at: Time
    expire_time: Time


class Account(TypedDict):
    """An account."""

    id: str
    name: str
    email: str
    active: bool
    blocked: bool
    timezone: str
    language: str
    country: NotRequired[str | None]
    company: str | None
    phone: str | None
    newsletter: bool
    developer: bool
    send_invoice: bool
    stripe_id: None
    options: dict[str, Any]
    type: Literal["user"]
    plan: str
    last_login: Time | None
    otp: Otp
    created_at: Time
    updated_at: Time
    invitations: list[Invitation]


class AccountPlan(TypedDict):
    """The price plan of an account. Unlimited is 9007199254740991."""

    plan: str
    requests_per_minute: Count
    requests_per_month: Count


class ProfileName(TypedDict):
    """A profile, briefly."""

    id: str
    name: str
    logo_url: str | None
    account: str | None


class ProfileRow(ProfileName):
    """A profile in a list. ``from_share`` is there if it belongs to another account."""

    from_share: NotRequired[bool]


class Login(TypedDict):
    """An account that has logged in."""

    type: Literal["user"]
    id: str
    email: str
    company: str | None
    name: str
    phone: str | None
    profiles: list[ProfileName]


class ProfileCreated(TypedDict):
    """The id of a new profile."""

    id: str


class ProfileInfo(ProfileName):
    """What a profile says of itself."""

    banner_url: str | None
    region: str
    rpm: RequestsPerMinute | None
    usage_webhook: str | None
    created_at: Time
    updated_at: Time


class Services(TypedDict):
    """How much of each service a profile may use. Unlimited is 9007199254740991."""

    input: Count
    output: Count
    analysis: Count
    sms: Count
    email: Count
    data_records: Count
    run_users: Count
    push_notification: Count
    file_storage: Count


class Allocation(Services):
    """What one profile may use."""

    profile: str
    updated_at: Time


class Addons(TypedDict):
    """The add-ons of a profile: there are none."""

    custom_dns: bool
    mobile: bool
    control_tower: bool
    profile: bool
    updated_at: NotRequired[None]


class Profile(TypedDict):
    """A profile, its plan and what it may use."""

    info: ProfileInfo
    allocation: Services
    addons: Addons
    account_plan: str


class AllServices(Services):
    """Services with those that only TagoIO has."""

    tcore: Count
    tcore_cluster: Count
    dashboard_output: Count


class Alerts(TypedDict, total=False):
    """By service, which part of its quota in percent was announced in this month."""

    input: Count
    output: Count
    data_records: Count


class Summary(TypedDict, total=False):
    """What a profile may use, has used, and has."""

    limit: AllServices
    limit_used: AllServices
    amount: Required[dict[str, Count]]
    addons: Addons
    tago_run: None
    alerts: Alerts


class Member(TypedDict):
    """A member of a team, or an invitation that waits."""

    id: str
    name: str
    email: str
    active: bool
    created_at: Time


class AuditEvent(TypedDict):
    """A change."""

    resourceName: str
    resourceID: str | None
    message: str
    who: str
    account: str | None
    address: str
    date: Time


class AuditStatistics(TypedDict):
    """How much a query of the audit log has read."""

    recordsMatched: Count
    recordsScanned: Count
    bytesScanned: Count


class AuditLog(TypedDict):
    """The answer to a query of the audit log."""

    queryId: str
    status: Literal["Complete", "Timeout"]
    events: list[AuditEvent]
    statistics: AuditStatistics
