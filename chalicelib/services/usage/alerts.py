"""Announces that much of a quota is used: in the log, to an SNS topic, and to the profile's webhook."""

from typing import Any

from chalicelib import errors, settings, store
from chalicelib.codec import hours
from chalicelib.host import log, topics, webhooks
from chalicelib.host.cache import Cache
from chalicelib.services import entities
from chalicelib.settings import CACHE_S
from chalicelib.store import Doc, names

PARTS = (100, 90, 80)
"""Which percentages of a quota are announced, each once a service and month."""
_known: Cache[Doc] = Cache(ttl_s=CACHE_S)
"""What was announced, by profile."""


def announce(*, profile: str, used: dict[str, int], allowed: dict[str, int]) -> None:
    """Announce each service of which 80, 90 or 100 % of the quota is used, once a month each.

    It is noted before it is announced, so an alert is lost if the process ends in between, but never comes twice.

    Args:
        profile: the profile.
        used: what it has used, by service.
        allowed: its quotas, by service.

    Cost: nothing if nothing was reached. One read a minute, and one read and one write for each new alert.
    """
    month = hours.month(hours.now())
    reached = {service: _part(used[service], quota) for service, quota in allowed.items()}
    reached = {service: part for service, part in reached.items() if part}
    if not reached or not _new(_announced(profile), month, reached):
        return
    new: dict[str, int] = {}

    def revised(doc: Doc | None) -> Doc:
        new.clear()
        new.update(_new(doc or {}, month, reached))
        return {"month": month, "parts": _parts(doc or {}, month) | new} if new else doc or {}

    doc = entities.update(
        owner=names.profile(profile),
        name=names.ALERTS,
        revise=revised,
        conflict="The alerts of the profile are being changed by others, try again",
    )
    _known.put(profile, doc)
    for service, part in new.items():
        _send(profile, {"service": service, "percent": part, "used": used[service], "limit": allowed[service]})


def announced(*, profile: str) -> dict[str, int]:
    """Return by service which part of its quota was announced in this month. Cost: one read."""
    entity = store.current().get(names.profile(profile), names.ALERTS)
    return _parts(entity.doc if entity else {}, hours.month(hours.now()))


def _part(used: int, quota: int) -> int:
    """Return the highest percentage that is reached, 0 if none is."""
    return next((part for part in PARTS if used * 100 >= part * quota), 0)


def _announced(profile: str) -> Doc:
    doc = _known.get(profile)
    if doc is None:
        entity = store.current().get(names.profile(profile), names.ALERTS)
        doc = entity.doc if entity else {}
        _known.put(profile, doc)
    return doc


def _parts(doc: Doc, month: str) -> dict[str, int]:
    """Return what a document says was announced in a month."""
    return dict(doc["parts"]) if doc.get("month") == month else {}


def _new(doc: Doc, month: str, reached: dict[str, int]) -> dict[str, int]:
    known = _parts(doc, month)
    return {service: part for service, part in reached.items() if part > known.get(service, 0)}


def _send(profile: str, alert: dict[str, Any]) -> None:
    """Announce an alert. Whatever fails is logged."""
    alert = {"profile": profile, **alert}
    log.line("warning", function="alerts", **alert)
    topic = settings.current().alerts_topic
    try:
        if topic:
            topics.publish(topic=topic, subject=f"Decant: {alert['percent']} % of {alert['service']} used", body=alert)
        entity = store.current().get(names.profile(profile), names.PROFILE)
        url = entity.doc.get("usage_webhook") if entity else None
        if url:
            webhooks.post(url=url, body=alert)
    except errors.Unavailable as error:
        log.line("warning", function="alerts", profile=profile, unsent=log.cause(error))
