"""What a client subscribes to, and which messages match."""

from collections.abc import Mapping
from typing import NamedTuple

from chalicelib.codec import topics


class Subscription(NamedTuple):
    """How a client wants the messages that match a filter."""

    qos: int
    is_not_local: bool
    """Whether the client must not get its own messages."""
    keeps_retain: bool
    """Whether RETAIN is handed on as the publisher set it."""
    identifier: int
    """0: none."""
    prefix: str
    """What each topic begins with that matches: most topics do not, and that is found out faster."""


def subscribed(name: str, qos: int, is_not_local: bool, keeps_retain: bool, identifier: int) -> Subscription:
    """Return a subscription to a filter.

    >>> [subscribed(name, 0, False, False, 0).prefix for name in ("a/b", "a/+/b", "a/#", "#")]
    ['a/b', 'a/', 'a', '']
    """
    prefix = name.partition("+")[0].partition("#")[0]
    if name.endswith("#") and "+" not in name:
        prefix = prefix.removesuffix("/")  # a/# matches a, too
    return Subscription(qos, is_not_local, keeps_retain, identifier, prefix)


class Match(NamedTuple):
    """How a client wants a message: what its matching subscriptions say together."""

    qos: int
    keeps_retain: bool
    identifiers: tuple[int, ...]


def match(subscriptions: Mapping[str, Subscription], topic: str, *, is_own: bool = False) -> Match | None:
    """Return what those subscriptions together say that match a topic: the highest QoS, and all identifiers.

    Args:
        subscriptions: by filter.
        topic: of a message.
        is_own: whether the subscriber has published the message.
    """
    best, keeps_retain, identifiers = -1, False, []
    for name, (qos, is_not_local, keeps, identifier, prefix) in subscriptions.items():
        if topic.startswith(prefix) and topics.matches(name, topic) and not (is_own and is_not_local):
            best, keeps_retain = max(best, qos), keeps_retain or keeps
            if identifier:
                identifiers.append(identifier)
    return None if best < 0 else Match(best, keeps_retain, tuple(identifiers))
