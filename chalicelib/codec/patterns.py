"""Patterns in which ``*`` matches any text."""

MAX_WILDCARDS = 10


def matches(pattern: str, text: str) -> bool:
    """Return whether a text matches a pattern, without regard to case. It takes linear time for every pattern.

    >>> matches("*MUTABLE*", "Immutable one"), matches("on", "one"), matches("a?b", "a.b"), matches("a*a", "a")
    (True, False, False, False)
    """
    first, *others = pattern.casefold().split("*")
    text = text.casefold()
    if not others:
        return text == first
    last = others.pop()
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in others:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
