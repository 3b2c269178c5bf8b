"""Creates, lists, changes and deletes profiles, the owners of devices."""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys, times
from chalicelib.host import clock
from chalicelib.host import keys as api_keys
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import entities
from chalicelib.services.access import tokens
from chalicelib.services.access.reach import OWNER, Role
from chalicelib.services.usage import limits, plans, quotas, resources
from chalicelib.store import Doc, Entity, names

REGION = "us-1"
"""The region that clients are told. A deployment has only one."""
SERVICES = (
    "input", "output", "analysis", "sms", "email", "data_records", "run_users", "push_notification", "file_storage",
)  # fmt: skip
"""What clients expect in an allocation."""


def create(*, name: str, token: str | None = None, plan: str | None = None, account: str = "") -> tuple[str, str]:
    """Create a profile with one full token.

    Args:
        name: a name for people.
        token: the text of the token. None: it is derived.
        plan: the name of its price plan. None: the default plan of the settings.
        account: the id of the account that owns it. Empty: the first account, once there is one.

    Returns:
        The profile's id and the token.

    Raises:
        errors.BadRequest: ``token`` does not have the shape of a token; nothing was stored.
        errors.Conflict: a token with the text ``token`` exists already; nothing was stored.
    """
    profile = keys.new_id()
    first: TokenIn = {"name": "Default", "permission": "full"}
    created = tokens.new(kind="profile", profile=profile, subject="", sent=first, chosen=token)
    _store(profile, {"name": name}, plan, account, created.entities)
    text: str = created.shown["token"]
    return profile, text


def add(*, sent: Mapping[str, Any], account: str) -> str:
    """Create a profile without a token, with the plan of the account's oldest profile; return its id.

    Its owner makes tokens with the password. A token made here could outlive a password that was stolen and changed.

    Args:
        sent: ``name``, and ``logo_url`` and ``banner_url`` if wanted.
        account: the id of the account that owns it.

    Raises:
        errors.PaymentRequired: the plan allows the account no more profiles.

    Cost: one read, one a profile of the account, and one transaction of four entities.
    """
    owned, plan = owned_by(account), None
    if owned:
        resources.check(profile=owned[0]["id"], resource="profile", existing=len(owned))
        plan = limits.of(owned[0]["id"]).plan
    profile = keys.new_id()
    _store(profile, sent, plan, account)
    return profile


def _store(profile: str, sent: Mapping[str, Any], plan: str | None, account: str, more: Sequence[Entity] = ()) -> None:
    """Store a new profile with what belongs to it, all of it or nothing, and ask for its API key."""
    plan = plan or plans.default()
    doc = {**sent, "id": profile, "plan": plan, "account": account, "created_ms": clock.now_ms()}
    listed = Entity(names.PROFILES, names.profile(profile), {})
    stored = Entity(names.profile(profile), names.PROFILE, doc)
    owned = [Entity(names.account(account), names.profile(profile), {"role": OWNER})] if account else []
    tokens.store_all([listed, stored, limits.new(profile, plan), *owned, *more])
    api_keys.request(profile, plan)


def set_plan(*, profile: str, plan: str) -> None:
    """Give a profile another price plan. Its limits count at once here, elsewhere within a minute.

    On AWS it shares the API key of waiting profiles until that of the new plan works.

    Raises:
        errors.NotFound: there is no such profile.
        errors.BadRequest: there is no such plan.
        errors.Conflict: others kept changing the limits.
    """
    get_or_raise(profile)
    if plan not in plans.load():
        raise errors.BadRequest.field("plan", f"There is no plan {plan}: take {', '.join(plans.load())}")
    limits.change(profile, plan=plan)
    quotas.settle(profile=profile)
    api_keys.request(profile, plan)


def get_or_raise(profile: str) -> Doc:
    """Return a profile. Cost: one read.

    Raises:
        errors.NotFound: there is none with this id.
    """
    entity = store.current().get(names.profile(profile), names.PROFILE)
    if entity is None:
        raise errors.NotFound("Profile not found")
    return entity.doc


def owner_of(profile: str) -> str:
    """Return the id of the account that owns a profile; empty if no account does yet. Cost: one read."""
    entity = store.current().get(names.profile(profile), names.PROFILE)
    return str(entity.doc.get("account", "")) if entity else ""


def of_account(account: str) -> dict[str, Role]:
    """Return the role of an account in its profiles, ``owner`` or ``member``, by the profile's id. Cost: one read."""
    rows = store.current().list(names.account(account), names.profile(""))
    return {row.name.removeprefix(names.profile("")): row.doc["role"] for row in rows}


def all_of(account: str) -> list[Doc]:
    """Return the profiles that an account owns, the oldest first, then those that it is a member of.

    Cost: one read, and one a profile.
    """
    roles = of_account(account)
    found = [store.current().get(names.profile(profile), names.PROFILE) for profile in roles]
    docs = [entity.doc for entity in found if entity is not None]
    return sorted(docs, key=lambda doc: (roles[doc["id"]] != OWNER, doc["created_ms"], doc["id"]))


def owned_by(account: str) -> list[Doc]:
    """Return the profiles that an account owns, the oldest first. Cost: as ``all_of``."""
    return [doc for doc in all_of(account) if doc.get("account") == account]


def adopt(profile: Doc, account: str) -> None:
    """Make an account the owner of a profile that has none, as those of earlier versions. Cost: one transaction."""
    owner = names.profile(profile["id"])
    entity = store.current().get(owner, names.PROFILE)
    if entity is None or entity.doc.get("account"):
        return
    adopted = entity._replace(doc={**entity.doc, "account": account}, version=entity.version + 1)
    if not store.current().write_all([adopted, Entity(names.account(account), owner, {"role": OWNER})]):
        raise errors.Conflict("The profile is being changed by others, try again")


def list_of(*, account: str, profile: str) -> list[dict[str, Any]]:
    """Return the profiles of an account as clients see them: the oldest first, after them those of other accounts.

    Args:
        account: whose. Empty: no account owns anything yet, so only ``profile`` is returned.
        profile: the caller's profile.

    Cost: one read, and one a profile.
    """
    if not account:
        return [_show_briefly(get_or_raise(profile))]
    return [_show_briefly(doc) | ({} if doc["account"] == account else {"from_share": True}) for doc in all_of(account)]


def _show_briefly(doc: Doc) -> dict[str, Any]:
    account = doc.get("account") or None
    return {"id": doc["id"], "name": doc["name"], "logo_url": doc.get("logo_url"), "account": account}


def show(doc: Doc) -> dict[str, Any]:
    """Return a profile as clients see it, with its plan and what it may use. Cost: that of ``limits.of``."""
    found = limits.of(doc["id"])
    info = _show_briefly(doc) | {
        "banner_url": doc.get("banner_url"),
        "region": REGION,
        "rpm": dict(found.rpm) or None,
        "usage_webhook": doc.get("usage_webhook"),
        "created_at": times.to_iso(doc["created_ms"]),
        "updated_at": times.to_iso(doc.get("updated_ms", doc["created_ms"])),
    }
    return {
        "info": info,
        "allocation": allocation(found.figures),
        "addons": quotas.ADDONS | {"updated_at": None},
        "account_plan": found.figures.name,
    }


def allocation(plan: plans.Plan) -> dict[str, int]:
    """Return how much of each service a plan allows. Nothing uses the services that have no quota."""
    allowed = plan.quotas | {name: plan.resources[name] for name in ("run_users",) if name in plan.resources}
    return {name: allowed.get(name, plans.UNLIMITED) for name in SERVICES}


def edit(*, profile: str, sent: Mapping[str, Any]) -> None:
    """Change a profile. Fields that are not sent keep their value.

    Args:
        profile: the id of the profile.
        sent: ``name``, ``logo_url``, ``banner_url``, ``usage_webhook`` with the URL that alerts are sent to, and
            ``rpm`` with the requests a minute that it allows itself.

    Raises:
        errors.BadRequest: the webhook cannot be called.
        errors.NotFound: there is no such profile.
        errors.Conflict: others kept changing it.

    Cost: one read and one conditional write; twice that with ``rpm``.
    """
    changes = {name: value for name, value in sent.items() if name != "rpm"}
    _check_webhook(sent.get("usage_webhook"))

    def revised(doc: Doc | None) -> Doc:
        if doc is None:
            raise errors.NotFound("Profile not found")
        return {**doc, **changes, "updated_ms": clock.now_ms()}

    conflict = "The profile is being changed by others, try again"
    entities.update(owner=names.profile(profile), name=names.PROFILE, revise=revised, conflict=conflict)
    if "rpm" in sent:
        rpm = {name: value for name, value in (sent["rpm"] or {}).items() if value is not None}
        limits.change(profile, rpm=tuple(sorted(rpm.items())))


def _check_webhook(url: str | None) -> None:
    if url:
        from chalicelib.host import outside  # noqa: PLC0415 - it imports ssl, which takes 20 ms

        wrong = outside.problem(url, may_be_local=store.current().is_exclusive)
        if wrong:
            raise errors.BadRequest.field("usage_webhook", f"usage_webhook {wrong}")


def list_all() -> list[Doc]:
    """Return every profile of the deployment, with ``id``, ``name`` and ``plan``. Cost: one read a profile."""
    owners = [entity.name for entity in store.current().list(names.PROFILES, names.profile(""))]
    profiles = [store.current().get(owner, names.PROFILE) for owner in owners]
    return [entity.doc for entity in profiles if entity is not None]


def delete(*, profile: str) -> None:
    """Delete a profile with its tokens and all that it owns. Its devices must have been deleted before.

    Raises:
        errors.Conflict: a device exists, or others are changing the profile; nothing was deleted.
    """
    owner = names.profile(profile)
    rows = store.current().list(owner, names.ANY)
    if any(row.name.startswith(names.DEVICES) for row in rows):
        raise errors.Conflict("The profile has devices: delete them first")
    callers = [(row.name, names.TOKEN) for row in rows if row.name.startswith(names.TOKENS)]
    if not store.current().write_all((), [(names.PROFILES, owner), (owner, names.PROFILE), *callers]):
        raise errors.Conflict("The profile is being changed by others, try again")
    store.current().delete(owner, [row.name for row in rows])
