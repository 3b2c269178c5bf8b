"""Creates, reads, changes, deletes and lists the documents of an owner.

A change is written only if the document still has the version that was read, so concurrent changes are not lost.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from chalicelib import errors, store
from chalicelib.codec import keys, patterns, times
from chalicelib.host import deadline
from chalicelib.host.cache import Cache
from chalicelib.schemas.lists import ListQuery
from chalicelib.store import ABSENT, Doc, Entity

_ATTEMPTS = 10
_CHECKED_EACH = 100
"""After how many documents the time is checked. A document takes about 2 µs."""
Row = dict[str, Any]
"""A document as clients see it."""


class Kind(NamedTuple):
    """A kind of document."""

    noun: str
    """The word for it in messages."""
    prefix: str
    """The prefix of its names in the store."""
    cache: Cache[Doc] | None = None
    """Documents that were read within the last minute, by owner and id. None: the kind is not cached."""


def create(kind: Kind, *, owner: str, doc: Doc) -> None:
    """Store a new document under its ``id``. Cost: one conditional write.

    Raises:
        errors.Conflict: the owner already has a document with this id.
    """
    if store.current().put_if(Entity(owner, kind.prefix + doc["id"], doc), version=ABSENT) is not None:
        raise errors.Conflict(f"{kind.noun} {doc['id']} exists already")


def get_or_raise(kind: Kind, *, owner: str, doc_id: str, is_fresh: bool = True) -> Doc:
    """Return a document.

    Args:
        kind: the kind of document.
        owner: from ``names``.
        doc_id: as the client sent it.
        is_fresh: whether it must be read now. If not, and if the kind is cached, it may be a minute old.

    Raises:
        errors.NotFound: the owner has no such document.

    Cost: one read. If not fresh: no read within a minute of the last one, else half a read.
    """
    key = f"{owner}/{doc_id}"
    if kind.cache is not None:
        cached = None if is_fresh else kind.cache.get(key)
        if cached is not None:
            return cached
        kind.cache.drop(key)
    doc = _entity_or_raise(kind, owner, doc_id, is_consistent=is_fresh).doc
    if kind.cache is not None:
        kind.cache.put(key, doc)
    return doc


def _entity_or_raise(kind: Kind, owner: str, doc_id: str, *, is_consistent: bool = True) -> Entity:
    is_id = keys.is_id(doc_id)
    entity = store.current().get(owner, kind.prefix + doc_id, is_consistent=is_consistent) if is_id else None
    if entity is None:
        raise errors.NotFound(f"{kind.noun} not found")
    return entity


def list_all(kind: Kind, *, owner: str, may_see: Callable[[Doc], bool] | None = None) -> list[Doc]:
    """Return the documents of the owner, in order of id. Cost: it reads all of them.

    Args:
        kind: the kind of documents.
        owner: from ``names``.
        may_see: which of them the caller may see. None: all.

    Raises:
        deadline.TooLong, errors.Unavailable: there are too many documents to look at each in time.
    """
    docs = [entity.doc for entity in store.current().list(owner, kind.prefix)]
    return docs if may_see is None else [*_seen(docs, may_see)]


def _seen(docs: list[Doc], may_see: Callable[[Doc], bool]) -> Iterator[Doc]:
    for index, doc in enumerate(docs):
        if index % _CHECKED_EACH == 0:
            deadline.check()
        if may_see(doc):
            yield doc


def change(
    kind: Kind, *, owner: str, doc_id: str, revise: Callable[[Doc], Mapping[str, Any]], entity: Entity | None = None
) -> Doc:
    """Change some fields of a document, and return the new document.

    Args:
        kind: the kind of document.
        owner: from ``names``.
        doc_id: as the client sent it.
        revise: gets the document and returns the changed fields. It is called again after each lost race.
        entity: the entity as it was read before, which saves a read.

    Raises:
        errors.NotFound: the owner has no such document.
        errors.Conflict: others kept changing it.

    Cost: one read and one conditional write.
    """

    def merged(doc: Doc | None) -> Doc:
        if doc is None:
            raise errors.NotFound(f"{kind.noun} not found")
        return {**doc, **revise(doc)}

    doc = update(
        owner=owner,
        name=kind.prefix + doc_id,
        revise=merged,
        conflict=f"The {kind.noun.lower()} is being changed by others, try again",
        entity=entity or _entity_or_raise(kind, owner, doc_id),
    )
    forget(kind, owner=owner, doc_id=doc_id)
    return doc


def update(
    *,
    owner: str,
    name: str,
    revise: Callable[[Doc | None], Doc],
    conflict: str,
    entity: Entity | None = None,
) -> Doc:
    """Create or change an entity if it still has the version that was read; else read it and try again.

    Args:
        owner: from ``names``.
        name: from ``names``.
        revise: gets the stored document, or None if there is none, and returns the new one. If it returns the very
            same object, nothing is written.
        conflict: what the error says.
        entity: the entity as it was read before, which saves a read.

    Raises:
        errors.Conflict: others kept changing it.

    Cost: one read and one conditional write; a conditional write more for each lost race.
    """
    if entity is None:
        entity = store.current().get(owner, name)
    for _ in range(_ATTEMPTS):
        doc = revise(entity.doc if entity else None)
        if entity is not None and doc is entity.doc:
            return doc
        version, expires_at = (entity.version, entity.expires_at) if entity else (ABSENT, None)
        lost = store.current().put_if(Entity(owner, name, doc, version + 1, expires_at), version=version)
        if lost is None:
            return doc
        entity = lost.existing
    raise errors.Conflict(conflict)


def delete(kind: Kind, *, owner: str, doc_id: str) -> None:
    """Delete a document.

    Raises:
        errors.NotFound: the owner has no such document.

    Cost: one read and one write.
    """
    _entity_or_raise(kind, owner, doc_id)
    store.current().delete(owner, [kind.prefix + doc_id])
    forget(kind, owner=owner, doc_id=doc_id)


def forget(kind: Kind, *, owner: str, doc_id: str) -> None:
    """Drop the cached document, so that the next call reads it from the store."""
    if kind.cache is not None:
        kind.cache.drop(f"{owner}/{doc_id}")


def page(rows: Iterable[Row], query: ListQuery, complete: Callable[[Row], Row] | None = None) -> list[Row]:
    """Return a page of a list: the rows that pass the filters, sorted, with only the fields that the client asked for.

    Args:
        rows: all documents of the list, as clients see them.
        query: filters, order, page and fields.
        complete: adds fields that are costly to look up. It is called only for the rows of the page.
    """
    kept = [row for row in rows if _passes(row, query)]
    kept.sort(key=lambda row: row.get("id") or row["token"] or "")
    kept.sort(key=lambda row: _rank(row[query.order]), reverse=not query.is_ascending)
    shown = kept[(query.page - 1) * query.amount :][: query.amount]
    if complete is not None:
        shown = [complete(row) for row in shown]
    return [{name: row[name] for name in query.fields} for row in shown]


def _rank(value: Any) -> tuple[bool, bool, Any]:
    """Rank absent values first, then numbers, then text without regard to case."""
    is_text = isinstance(value, str)
    return (value is not None, is_text, value.casefold() if is_text else value or 0)


def _passes(row: Row, query: ListQuery) -> bool:
    for name, wanted in query.filters.items():
        value = row[name]["id"] if isinstance(row[name], dict) else row[name]
        if isinstance(wanted, bool):
            if value != wanted:
                return False
        elif isinstance(wanted, int):
            if value is None or times.parse_time(value) < wanted:
                return False
        elif wanted is not None and not patterns.matches(wanted, "" if value is None else str(value)):
            return False
    return not query.tags or has_tags(row["tags"], query.tags)


def has_tags(tags: list[dict[str, str]], wanted: list[dict[str, str]]) -> bool:
    """Return whether each wanted tag is among ``tags``. A wanted tag may have only a key or only a value."""
    return all(any(all(tag[part] == text for part, text in pair.items()) for tag in tags) for pair in wanted)
