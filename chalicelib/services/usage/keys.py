"""The API keys of the profiles, by which API Gateway's usage plans recognise them. Only on AWS.

A key belongs to a profile and a price plan, and its name holds both. ``limits.key_ready`` says that it works. When a
profile gets another plan, it gets another key; the old one is deleted later, as processes may know it for a while.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from chalicelib import errors, store
from chalicelib.codec import tokens
from chalicelib.host import api_keys, clock, failures, log, secret
from chalicelib.host import keys as requests
from chalicelib.host.api_keys import Key
from chalicelib.services.usage import limits, plans
from chalicelib.services.usage.limits import Limits
from chalicelib.store import Entity, names

MOST = 9_500
"""An account and region may have 10,000 API keys. From this number on no key is made, and an alarm rings."""
SETTLED_S = 30
"""After this time API Gateway knows a new key everywhere. AWS does not say how long it takes."""
KEPT_S = 600
"""How long a key is kept after another one replaced it: much longer than any process has the limits in its cache."""
_NIGHT_HOUR = 3
"""The hour of UTC in which all keys are compared with all profiles."""
_HOUR_MS = 3_600_000
_SHARED = (plans.WAITING, plans.LOUD)
_FULL = f"There are {MOST:,} API keys. The profile keeps the key that waiting profiles share"
SetAside = Callable[[str, str], None]
"""A function that takes a profile, and why it gets no key."""


class Request(NamedTuple):
    """A profile that needs the key of its plan; or one that was deleted, whose keys must go."""

    profile: str
    """Empty for a shared key."""
    plan: str


class Own(NamedTuple):
    """A key of a profile of this stage. Keys of earlier versions have an empty plan."""

    id: str
    profile: str
    plan: str


class Compared(NamedTuple):
    """What a comparison of profiles and keys found."""

    wanted: dict[str, str]
    """The price plan of each profile, and each shared key by its own name."""
    missing: list[Request]
    """Profiles without a working key of their plan, and shared keys that are missing."""
    replaced: set[str]
    """Profiles that have other keys besides."""
    ownerless: list[Own]
    """Keys of profiles that do not exist."""
    keys: int
    """How many keys the account and region have."""


def fulfil(wanted: Sequence[Request], set_aside: SetAside = failures.keep_unmade) -> int:
    """Make the keys that profiles need, in order, wait until API Gateway knows them, and note that they work.

    Args:
        wanted: what is asked for.
        set_aside: called with a profile whose key cannot be made now, and the reason. The others go on.

    Returns:
        How many requests were fulfilled, or need nothing any more. It is less than all if API Gateway or the store
        failed; the others must come again.

    Raises:
        errors.Unavailable: API Gateway does not list its keys; nothing was done.

    Cost: one call for 500 keys of the account, two calls a new key, two reads and a write a profile, and 30 s.
    """
    found = api_keys.current().all()
    existing, with_others = {key.name: key.id for key in found}, _with_others(found, wanted)
    made: list[Request] = []

    def make(request: Request) -> None:
        try:
            if _make(request, existing, may_create=len(found) + len(made) < MOST):
                made.append(request)
        except errors.NotFound as error:
            set_aside(request.profile, error.message)

    def note(request: Request) -> None:
        if request.profile in with_others:  # before the change: without a marker, the replaced key would stay
            _mark(request.profile)
        limits.note_key(*request)

    done = _until_one_fails(wanted, make)
    if made:
        clock.sleep(SETTLED_S)
    noted = _until_one_fails(made, note)
    return done if noted == len(made) else wanted.index(made[noted])


def _until_one_fails(requested: Sequence[Request], step: Callable[[Request], None]) -> int:
    """Do a step for each request, up to the first that fails. Return how many were done."""
    for number, request in enumerate(requested):
        try:
            step(request)
        except errors.ApiError as error:
            log.line("error", function="keys", key_of=request.profile, failed=log.cause(error))
            return number
    return len(requested)


def _make(request: Request, existing: dict[str, str], *, may_create: bool) -> bool:
    """Make a key if one is needed, and put it into its usage plan. Return whether to note later that it works.

    Raises:
        errors.NotFound: there is no usage plan for it, or no room for another key.
    """
    name = api_keys.current().prefix + _name(request)
    if not request.profile:
        _put(request, name, existing)
        return False
    found = limits.of(request.profile, is_fresh=True)
    if _is_gone(request.profile, found):
        _mark(request.profile)
        return False
    if found.plan != request.plan or found.key_ready == request.plan:
        return False
    if name not in existing and not may_create:
        raise errors.NotFound(_FULL)
    _put(request, name, existing)
    return True


def _put(request: Request, name: str, existing: dict[str, str]) -> None:
    """Make a key unless it is among the existing ones, whose ids stand by name, and put it into its usage plan."""
    gateway = api_keys.current()
    if name not in existing:
        existing[name] = gateway.create(name, tokens.api_key(secret.current(), *request))
    gateway.put(existing[name], request.plan)


def make_at_once(request: Request) -> None:
    """Make the key of a profile and say that it works, though API Gateway may not know it everywhere yet.

    Raises:
        errors.Unavailable: API Gateway or the store failed.
    """
    _put(request, api_keys.current().prefix + _name(request), {})
    limits.note_key(*request)


def delete(profile: str) -> None:
    """Delete the keys of a profile at once. Raises errors.Unavailable: API Gateway failed."""
    gateway = api_keys.current()
    for key in _own(gateway.all(gateway.prefix + profile)):
        gateway.delete(key.id)


def _name(request: Request) -> str:
    """Return the name of a key without the stage's prefix."""
    return "-".join(filter(None, request))


def _mark(profile: str) -> None:
    marker = {"profile": profile, "since_ms": clock.now_ms()}
    store.current().put(Entity(names.KEYS, names.profile(profile), marker))


def _is_gone(profile: str, found: Limits) -> bool:
    return found.is_erased or store.current().get(names.PROFILES, names.profile(profile)) is None


def _own(found: Iterable[Key]) -> list[Own]:
    """Return those of the keys that belong to profiles of this stage."""
    pattern = re.compile(re.escape(api_keys.current().prefix) + "([0-9a-f]{24})(?:-(.+))?")
    matches = [(key.id, pattern.fullmatch(key.name)) for key in found]
    return [Own(id_, match[1], match[2] or "") for id_, match in matches if match]


def all_of_stage() -> list[Key]:
    """Return all keys of the stage, with the shared ones."""
    prefix = api_keys.current().prefix
    found = api_keys.current().all(prefix)
    ids = {key.id for key in _own(found)}
    return [key for key in found if key.id in ids or key.name.removeprefix(prefix) in _SHARED]


def _with_others(found: Iterable[Key], wanted: Iterable[Request]) -> set[str]:
    plan_by_profile = dict(wanted)
    return {key.profile for key in _own(found) if plan_by_profile.get(key.profile, key.plan) != key.plan}


def remind() -> int:
    """Ask the function for what is due: at night a comparison; and the end of keys that were replaced long enough ago.

    Returns how many keys were replaced long enough ago. Call it once an hour.

    Cost: one read, and a call of SQS if anything is due.
    """
    if clock.now_ms() // _HOUR_MS % 24 == _NIGHT_HOUR:
        requests.begin("compare")
    settled = len(_settled())
    if settled:
        requests.begin("tidy")
    return settled


def _settled() -> list[str]:
    """Return the profiles whose other keys nobody uses any more."""
    markers = store.current().list(names.KEYS, names.profile(""))
    latest_ms = clock.now_ms() - KEPT_S * 1000
    return [marker.doc["profile"] for marker in markers if marker.doc["since_ms"] <= latest_ms]


def tidy() -> int:
    """Delete the keys that were replaced, and those of deleted profiles, ten minutes later. Return how many.

    Raises:
        errors.Unavailable: API Gateway or the store failed; another call resumes.
    """
    settled, gateway = _settled(), api_keys.current()
    by_profile: dict[str, list[Own]] = {profile: [] for profile in settled}
    for key in _own(gateway.all()) if settled else ():
        by_profile.get(key.profile, []).append(key)
    deleted = 0
    for profile, found in by_profile.items():
        now = limits.of(profile, is_fresh=True)
        kept = () if _is_gone(profile, now) else (now.plan, now.key_ready)
        for key in found:
            if key.plan not in kept or not key.plan:
                gateway.delete(key.id)
                deleted += 1
        store.current().delete(names.KEYS, [names.profile(profile)])
    return deleted


def compare() -> int:
    """Compare all profiles with all keys, and ask for what is missing. Return how many keys that were.

    Raises:
        errors.Unavailable: API Gateway or the store failed; another call begins anew.

    Cost: one read a profile, and one call for 500 keys of the account and of each plan.
    """
    found = look_over()
    _clear(found)
    if found.keys >= MOST and found.missing:
        failures.keep_unmade(found.missing[0].profile, _FULL)
        return 0
    for request in found.missing:
        requests.request(*request)
    return len(found.missing)


def repair(found: Compared) -> None:
    """Make at once what a comparison found to be missing.

    Raises:
        errors.Unavailable: API Gateway or the store failed, or some keys cannot be made; the text says why.
    """
    _clear(found)
    reasons: list[str] = []
    done = fulfil(found.missing, lambda _profile, reason: reasons.append(reason))
    lacking = len(found.missing) - done + len(reasons)
    if lacking:
        raise errors.Unavailable(". ".join([f"{lacking} API keys could not be made", *sorted(set(reasons))]))


def _clear(found: Compared) -> None:
    """Delete the keys that nobody owns, and note which others must go, and which profiles have none that works."""
    for key in found.ownerless:
        api_keys.current().delete(key.id)
    for profile in found.replaced:
        _mark(profile)
    for request in found.missing:
        if request.profile:
            limits.note_key(request.profile, "")


def look_over() -> Compared:
    """Compare all profiles with all keys. It changes nothing. Raises and costs: as ``compare``."""
    gateway, prefix = api_keys.current(), names.profile("")
    found, plan_by_key = gateway.all(), gateway.members()
    keys = _own(found)
    profiles = [row.name.removeprefix(prefix) for row in store.current().list(names.PROFILES, prefix)]
    limits_by_profile = {profile: limits.of(profile, is_fresh=True) for profile in profiles}
    living = {profile: one for profile, one in limits_by_profile.items() if not one.is_erased}
    ready = {Request(profile, one.key_ready) for profile, one in living.items()} | {
        Request("", name) for name in _SHARED
    }
    wanted = [
        *(Request("", name) for name in _SHARED),
        *(Request(profile, one.plan) for profile, one in living.items()),
    ]
    in_plan = [key.name for key in found if key.name.endswith(f"-{plan_by_key.get(key.id)}")]
    working = {name.removeprefix(gateway.prefix) for name in in_plan}
    missing = [request for request in wanted if request not in ready or _name(request) not in working]
    replaced = {key.profile for key in keys if key.profile in living and key.plan != living[key.profile].plan}
    ownerless = [key for key in keys if key.profile not in limits_by_profile]
    return Compared({profile or plan: plan for profile, plan in wanted}, missing, replaced, ownerless, len(found))
