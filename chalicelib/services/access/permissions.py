"""Decides what policies allow an analysis or a run user. It reads nothing: callers pass policies and objects.

A policy applies to a caller if one of its targets matches the caller. Of all policies that apply, one allow must match
the object, and no deny may. What is malformed, or not in the catalogue of the caller's kind, matches nothing.

Source: TagoIO, "Access Management". Between policies, TagoIO states no order; that a deny always wins is our decision.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from chalicelib.codec.tokens import Kind
from chalicelib.services.access import catalogue
from chalicelib.services.access.catalogue import Form
from chalicelib.store import Doc


class Tagged(NamedTuple):
    """What a tuple is compared with: an object, or the caller."""

    id: str | None
    """None: it has no id yet, or does not exist."""
    tags: frozenset[tuple[str, str]] = frozenset()
    """Pairs of key and value."""


NOTHING = Tagged(None)
"""An object that does not exist. Only a tuple that names all of a resource matches it."""


def tagged(doc: Mapping[str, Any]) -> Tagged:
    """Return what tuples are compared with, of a document that may have ``id`` and ``tags``."""
    return Tagged(doc.get("id"), pairs(doc.get("tags", ())))


def pairs(tags: Iterable[Mapping[str, str]]) -> frozenset[tuple[str, str]]:
    """Return tags as pairs of key and value."""
    return frozenset((tag["key"], tag["value"]) for tag in tags)


class Match(NamedTuple):
    """Which objects a tuple names."""

    form: Form
    key: str = ""
    """The id, or the key of the tag."""
    value: str = ""

    def is_target(self, caller: Tagged) -> bool:
        """Return whether the tuple, as a target, names the caller. ``tag_match`` only needs a tag with this key."""
        if self.form == "tag":
            return (self.key, self.value) in caller.tags
        if self.form == "tag_match":
            return any(key == self.key for key, _ in caller.tags)
        return self.form == "any" or caller.id == self.key


class Permission(NamedTuple):
    """What a policy allows or denies."""

    is_allowed: bool
    actions: frozenset[str]
    match: Match


class Policy(NamedTuple):
    """A policy, ready to decide. What of it is malformed is left out."""

    targets: tuple[tuple[Kind, Match], ...]
    permissions: Mapping[str, tuple[Permission, ...]]
    """By resource."""

    def applies(self, kind: Kind, caller: Tagged) -> bool:
        """Return whether a target names the caller."""
        return any(kind == target and match.is_target(caller) for target, match in self.targets)


class Named(NamedTuple):
    """The objects that some tuples name."""

    is_all: bool
    ids: frozenset[str]
    tags: frozenset[tuple[str, str]]

    @classmethod
    def by(cls, matches: Iterable[Match], caller: Tagged) -> "Named":
        """Return what tuples name. ``tag_match`` names objects by the caller's own tags with its key."""
        found = list(matches)
        keys = {match.key for match in found if match.form == "tag_match"}
        shared = {tag for tag in caller.tags if tag[0] in keys}
        return cls(
            any(match.form == "any" for match in found),
            frozenset(match.key for match in found if match.form == "id"),
            frozenset((match.key, match.value) for match in found if match.form == "tag") | shared,
        )

    def holds(self, about: Tagged) -> bool:
        """Return whether an object is among them."""
        return self.is_all or about.id in self.ids or not self.tags.isdisjoint(about.tags)


class Rights(NamedTuple):
    """What a caller may do with one grant."""

    allowed: Named
    denied: Named

    def allow(self, about: Tagged) -> bool:
        """Return whether the caller may use the grant on an object: a permission allows it, and none denies it."""
        return self.allowed.holds(about) and not self.denied.holds(about)

    @property
    def allow_nothing(self) -> bool:
        """Whether there is no object on which the caller may use the grant, for all that is known."""
        return not any(self.allowed)

    def visible(self) -> Callable[[Doc], bool]:
        """Return the predicate by which a list shows documents."""
        return lambda doc: self.allow(tagged(doc))


def rights(policies: Iterable[Policy], kind: Kind, caller: Tagged, grant: str) -> Rights:
    """Return what policies allow a caller to do.

    Args:
        policies: the active policies of the caller's profile.
        kind: of the caller.
        caller: its id and tags.
        grant: as a route's row names it.
    """
    needed = catalogue.needed(kind, grant)
    resource, _, action = needed.partition("/")
    forms = catalogue.forms(kind, needed)
    found = [
        permission
        for policy in policies
        if policy.applies(kind, caller)
        for permission in policy.permissions.get(resource, ())
        if action in permission.actions and permission.match.form in forms
    ]
    allowed, denied = (
        Named.by((permission.match for permission in found if permission.is_allowed is is_allowed), caller)
        for is_allowed in (True, False)
    )
    return Rights(allowed, denied)


def read(doc: Doc) -> Policy:
    """Return a stored policy, ready to decide."""
    targets = [(parts[0], match) for parts in doc["targets"] if (match := read_match(parts))]
    permissions: dict[str, list[Permission]] = {}
    for sent in doc["permissions"]:
        match = read_match(sent["resource"])
        if match is not None:
            permission = Permission(sent["effect"] == "allow", frozenset(sent["action"]), match)
            permissions.setdefault(sent["resource"][0], []).append(permission)
    return Policy(tuple(targets), {resource: tuple(found) for resource, found in permissions.items()})


def faults(doc: Doc) -> list[str]:
    """Return what of a policy matches nothing, for the log. It names places and forms, and nothing that is secret."""
    found = [f"target {index}: malformed" for index, parts in enumerate(doc["targets"]) if read_match(parts) is None]
    kinds: dict[Kind, None] = dict.fromkeys(parts[0] for parts in doc["targets"] if read_match(parts) is not None)
    for index, sent in enumerate(doc["permissions"]):
        match = read_match(sent["resource"])
        if match is None:
            found.append(f"permission {index}: malformed")
            continue
        grants = [f"{sent['resource'][0]}/{action}" for action in dict.fromkeys(sent["action"])]
        found += [
            f"permission {index}: {kind} cannot have {grant} by {match.form}"
            for kind in kinds
            for grant in grants
            if match.form not in catalogue.forms(kind, grant)
        ]
    return found


def read_match(parts: Sequence[Any]) -> Match | None:
    """Return which objects a tuple names; None if it is malformed. Its first part is the resource or the kind.

    >>> read_match(["device", "tag.key", "site", "tag.value", "A"])
    Match(form='tag', key='site', value='A')
    """
    if not all(isinstance(part, str) for part in parts):
        return None
    match [*parts[1:]]:
        case []:
            return Match("any")
        case ["id", text]:
            return Match("id", text)
        case ["tag_match", key]:
            return Match("tag_match", key)
        case ["tag.key", key, "tag.value", value]:
            return Match("tag", key, value)
    return None
