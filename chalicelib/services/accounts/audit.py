"""The audit log: who changed what in a profile, when, and from which address. It is kept for half a year.

An event belongs to the profile of the token that made the change. It is written before the change: if the process dies
in between, the log tells of a change that was not made, and never the other way round. If the change is refused, the
event is removed again. On SQLite both are one unit anyway.
"""

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from chalicelib import errors, store
from chalicelib.codec import keys, times
from chalicelib.host import clock, log
from chalicelib.schemas import audit as schema
from chalicelib.schemas.audit import AuditQuery
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import roles
from chalicelib.store import Doc, Entity, names

KEPT_S = 184 * 86_400
"""How long an event is kept, in seconds: six months."""
MAX_SCANNED = 10_000
"""How many events a query reads at most."""
_RESOURCES = {
    "account": "account", "action": "action", "am": "am", "analysis": "analysis", "bucket": "device",
    "dashboard": "dashboard", "device": "device", "dictionary": "dictionary", "files": "profile", "profile": "profile",
    "run": "runuser", "serviceauth": "profile",
}  # fmt: skip
"""The names of what is changed, by the first part of a route's path; that part itself if it is not here."""
_INTEGRATIONS = ("connector", "network")
_OF_PATHS = {
    "/integration/network/device": "device", "/integration/network/{network_id}/params": "device",
    "/integration/network/publish": None, "/integration/network/resolve/{serial}": None,
    "/integration/network/resolve/{serial}/{authorization}": None, "/integration/parser/run": None,
}  # fmt: skip
"""By the whole path, where its parts do not say what is changed; None: nothing of the profile."""


class Change(NamedTuple):
    """A change that a caller asks for."""

    name: str
    """From ``new_name``. A request that is postponed keeps it, and so it leaves one event."""
    caller: Caller
    resource: str
    """From ``resource_of``."""
    message: str
    """What the route does, such as ``Delete a device``. Nothing that the client sent."""
    address: str
    """The client's address; empty if the gateway does not tell it."""


@lru_cache(maxsize=512)
def resource_of(path: str) -> str | None:
    """Return the name under which the audit log holds what a route changes, or None if the route is not audited.

    Points are not audited, nor what a device does with its own parameters, nor services that store nothing.

    Args:
        path: the route's path, such as ``/device/{device_id}``.

    >>> resource_of("/device/{device_id}"), resource_of("/data")
    ('device', None)
    """
    if path in _OF_PATHS:
        return _OF_PATHS[path]
    first, second, *_ = [*path.strip("/").split("/"), ""]
    is_log = "auditlog" in path
    if is_log or path.endswith("/data") or (first, second) in (("device", "params"), ("analysis", "services")):
        return None
    return second if first == "integration" and second in _INTEGRATIONS else _RESOURCES.get(first, first)


def new_name() -> str:
    """Return the name of a new event. Names sort by time."""
    return names.event(clock.now_ms(), secrets.token_hex(8))


def subject(path: Mapping[str, str], result: Any) -> str:
    """Return the id of what a request changes: the first in the path, else in the result; empty if there is none.

    Texts of tokens, e-mail addresses and passwords never get here: they are no ids, or in no parameter with this name.
    """
    found = [text for name, text in path.items() if name == "id" or name.endswith("_id")]
    if isinstance(result, Mapping):
        found += [text for text in result.values() if isinstance(text, str)]
    return next(filter(keys.is_id, found), "")


@contextlib.contextmanager
def recording(change: Change, resource_id: str) -> Iterator[Doc]:
    """Record a change. The block makes it, and may set ``resource_id`` of the event, which is written again then.

    Args:
        change: what is to be done.
        resource_id: the id of what is changed; empty if it is not known before, or if it is the caller's own profile
            or account.

    Cost: half a read and one write before the block. If the block sets the id, one write more.
    """
    caller = change.caller
    own = {"profile": caller.profile, "account": caller.account}
    resource_id = resource_id or own.get(change.resource, "")
    event: Doc = {
        "resource": change.resource,
        "resource_id": resource_id,
        "message": change.message,
        "who": f"{tokens.name_of(caller)} ({caller.kind.replace('_', ' ')} token)",
        "account": caller.account,
        "address": change.address,
        "at_ms": clock.now_ms(),
    }
    _put(caller.profile, change.name, event)
    yield event
    if event["resource_id"] != resource_id:
        try:
            _put(caller.profile, change.name, event)
        except errors.Unavailable as error:  # the change is made: a refusal would only make the client repeat it
            log.line("warning", function="audit", event=change.name, cause=log.cause(error))


def forget(*, profile: str, event: str) -> None:
    """Remove the event of a change that was refused. Call it outside the request's unit. Cost: one write."""
    store.current().delete(names.audit(profile), [event])


def note(*, profile: str, account: Doc, message: str, address: str) -> None:
    """Record a change in a profile that an account makes without a token. Cost: one write.

    Args:
        profile: the profile in whose log it belongs.
        account: who makes it, with a password or a mailed link.
        message: what it does. Nothing that the client sent.
        address: the client's address.
    """
    event: Doc = {
        "resource": "profile",
        "resource_id": profile,
        "message": message,
        "who": f"{account['email']} (account)",
        "account": account["id"],
        "address": address,
        "at_ms": clock.now_ms(),
    }
    _put(profile, new_name(), event)


def _put(profile: str, name: str, event: Doc) -> None:
    store.current().put(Entity(names.audit(profile), name, event, expires_at=event["at_ms"] // 1000 + KEPT_S))


def search(*, caller: Caller, profile: str, query: AuditQuery) -> dict[str, Any]:
    """Return the events of a profile that a query asks for, the newest first, and what the query has read.

    Args:
        caller: who asks. Its token must act for the account that owns the profile.
        profile: the id of the profile, or ``current``.
        query: range, filters and the number of events.

    Returns:
        ``queryId``, ``status``, ``events`` and ``statistics``. The status is ``Timeout`` if the range holds more events
        than a query reads, else ``Complete``.

    Raises:
        errors.NotFound: the account has no such profile.
        errors.Denied: the account does not own the profile.

    Cost: it reads the events from the end of the range until it has enough, and at most 10,000.
    """
    owner = names.audit(roles.owned(caller, profile).id)
    low, high = names.event(query.start_ms, ""), names.event(query.end_ms, "~")
    events: list[dict[str, Any]] = []
    scanned = size = 0
    for entity in store.current().newest(owner, low, high, first_page=query.limit):
        scanned, size = scanned + 1, size + len(orjson.dumps(entity.doc))
        if _passes(entity.doc, query):
            events.append(_show(entity.doc))
        if len(events) == query.limit or scanned == MAX_SCANNED:
            break
    is_cut = scanned == MAX_SCANNED and len(events) < query.limit
    return {
        "queryId": schema.to_id(query),
        "status": "Timeout" if is_cut else "Complete",
        "events": events,
        "statistics": {"recordsMatched": len(events), "recordsScanned": scanned, "bytesScanned": size},
    }


def _passes(event: Doc, query: AuditQuery) -> bool:
    if query.resource_name and event["resource"] != query.resource_name:
        return False
    if query.resource_id and event["resource_id"] != query.resource_id:
        return False
    texts = (event["message"], event["who"], event["resource_id"], event["address"])
    return not query.find or any(query.find.casefold() in text.casefold() for text in texts)


def _show(event: Doc) -> dict[str, Any]:
    return {
        "resourceName": event["resource"],
        "message": event["message"],
        "resourceID": event["resource_id"],
        "who": event["who"],
        "account": event["account"] or None,
        "address": event["address"],
        "date": times.to_iso(event["at_ms"]),
    }
