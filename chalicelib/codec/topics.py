"""Topic filters: which are good, and which topics they match."""

from functools import lru_cache


def is_filter(text: str) -> bool:
    """Tell whether a text is a filter: ``#`` only as the last level, ``+`` and ``#`` only as whole levels."""
    if not text or text.startswith("$share/"):
        return False
    levels = text.split("/")
    return all(level in ("+", "#") or not ("+" in level or "#" in level) for level in levels) and "#" not in levels[:-1]


@lru_cache(maxsize=4_096)
def matches(pattern: str, topic: str) -> bool:
    """Tell whether a filter matches a topic. Wildcards in front do not match topics that begin with ``$``.

    >>> matches("a/+/#", "a/b"), matches("a/+", "a/"), matches("#", "$SYS/x")
    (True, True, False)
    """
    if topic.startswith("$") and pattern[:1] in ("+", "#"):
        return False
    wanted, levels = pattern.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
