"""Creates, reads, changes, deletes and lists analyses. Decant runs no code: they run elsewhere, with a token."""

from collections.abc import Callable
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys, times
from chalicelib.host import clock
from chalicelib.schemas.analyses import AnalysisEditIn, AnalysisIn
from chalicelib.schemas.lists import ListQuery
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import entities
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.access.reach import ANALYSIS
from chalicelib.services.usage import resources
from chalicelib.store import Doc, Entity, names

_FIRST: TokenIn = {"name": "Default", "permission": "full"}
_UNSET: Doc = {
    "description": None, "interval": None, "run_on": "external", "runtime": None, "file_name": None, "active": True,
    "variables": [], "tags": [],
}  # fmt: skip


def create(*, profile: str, sent: AnalysisIn, giver: Caller) -> dict[str, Any]:
    """Create an analysis with one full token; return its ``id`` and ``token``. The giver's token must be full.

    Raises:
        errors.PaymentRequired: the plan allows no more.

    Cost: that of ``resources.check``, and one transaction of three entities.
    """
    resources.check(profile=profile, resource="analysis")
    now_ms, analysis = clock.now_ms(), keys.new_id()
    doc: Doc = {**_UNSET, **sent, "id": analysis, "profile": profile, "created_ms": now_ms, "updated_ms": now_ms}
    created = tokens.new(kind="analysis", profile=profile, subject=analysis, sent=_FIRST, account=giver.account)
    stored = Entity(names.profile(profile), names.analysis(analysis), doc)
    tokens.store_all([stored, *created.entities])
    return {"id": analysis, "token": created.shown["token"]}


def list_page(*, profile: str, query: ListQuery, may_see: Callable[[Doc], bool] | None) -> list[dict[str, Any]]:
    """Return a page of the profile's analyses that the caller may see, with the fields that the client asked for."""
    docs = entities.list_all(ANALYSIS, owner=names.profile(profile), may_see=may_see)
    return entities.page([show(doc) for doc in docs], query)


def get_or_raise(*, profile: str, analysis: str, is_fresh: bool = False) -> Doc:
    """Return an analysis as stored.

    Raises:
        errors.NotFound: the profile has no such analysis.

    Cost: one read if fresh. If not: no read within a minute of the last one, else half a read.
    """
    return entities.get_or_raise(ANALYSIS, owner=names.profile(profile), doc_id=analysis, is_fresh=is_fresh)


def info(*, profile: str, analysis: str, sees: Callable[[Doc], bool]) -> dict[str, Any]:
    """Return an analysis.

    Args:
        profile: the owner.
        analysis: its id.
        sees: whether the caller may see the text of a token. If not, or if there is none, ``token`` is None.

    Raises:
        errors.NotFound: the profile has no such analysis.
    """
    doc = get_or_raise(profile=profile, analysis=analysis, is_fresh=True)
    listed = _token(analysis)
    return show(doc) | {"token": tokens.text_of(listed) if listed and sees(listed) else None}


def token_of(*, profile: str, analysis: str, giver: Caller, sees: Callable[[Doc], bool]) -> str:
    """Return the text of an analysis's token. If it ended with the account that made it, make another one.

    Raises:
        errors.NotFound: the profile has no such analysis.
        errors.Denied: another account made the token, so the giver may not see it.
    """
    get_or_raise(profile=profile, analysis=analysis, is_fresh=True)
    listed = _token(analysis)
    if listed is None:
        created = tokens.create(kind="analysis", profile=profile, subject=analysis, sent=_FIRST, giver=giver)
        return str(created["token"])
    if not sees(listed):
        raise errors.Denied
    return tokens.text_of(listed)


def _token(analysis: str) -> Doc | None:
    """Return what lists show of the token of an analysis. Cost: one read."""
    return next((entity.doc for entity in store.current().list(names.analysis(analysis), names.TOKENS)), None)


def edit(*, profile: str, analysis: str, sent: AnalysisEditIn) -> None:
    """Change an analysis. Fields that are not sent keep their value. If it is inactive, its token is refused.

    Raises:
        errors.NotFound: the profile has no such analysis.
        errors.Conflict: others kept changing it.
    """
    changes = {**sent, "updated_ms": clock.now_ms()}
    entities.change(ANALYSIS, owner=names.profile(profile), doc_id=analysis, revise=lambda _: changes)


def delete(*, profile: str, analysis: str) -> None:
    """Delete an analysis: first its token, then the analysis.

    Raises:
        errors.NotFound: the profile has no such analysis.
    """
    get_or_raise(profile=profile, analysis=analysis, is_fresh=True)
    tokens.delete_all(owner=names.analysis(analysis))
    entities.delete(ANALYSIS, owner=names.profile(profile), doc_id=analysis)


def refuse_to_run(*, profile: str, analysis: str) -> None:
    """Refuse what needs code to run.

    Raises:
        errors.NotFound: the profile has no such analysis.
        errors.BadRequest: else.
    """
    get_or_raise(profile=profile, analysis=analysis)
    raise errors.BadRequest("Decant runs no analyses")


def show(doc: Doc) -> dict[str, Any]:
    """Return an analysis as clients see it, without its token."""
    shown = {name: value for name, value in doc.items() if not name.endswith("_ms")}
    return shown | {
        "last_run": None,
        "locked_at": None,
        "console": [],
        "created_at": times.to_iso(doc["created_ms"]),
        "updated_at": times.to_iso(doc["updated_ms"]),
    }
