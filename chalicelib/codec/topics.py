"""Topics of devices; topic filters: whether one is valid, and which topics it matches."""

from functools import lru_cache

MAX_SLASHES, MAX_BYTES = 7, 256
"""What IoT Core allows in a topic. Bytes are of UTF-8."""


def of_device(device: str, topic: str) -> str:
    """Return the topic on IoT Core for a topic of one device."""
    return f"device/{device}/{topic}"


def is_filter(text: str) -> bool:
    """Return whether a text is a valid filter: ``#`` only as the last level, ``+`` and ``#`` only as whole levels."""
    if not text or text.startswith("$share/"):
        return False
    levels = text.split("/")
    return all(level in ("+", "#") or not ("+" in level or "#" in level) for level in levels) and "#" not in levels[:-1]


@lru_cache(maxsize=4_096)
def matches(pattern: str, topic: str) -> bool:
    """Return whether a filter matches a topic. A wildcard at its start matches no topic that begins with ``$``.

    >>> matches("a/+/#", "a/b"), matches("a/+", "a/"), matches("#", "$SYS/x")
    (True, True, False)
    """
    if topic.startswith("$") and pattern[:1] in ("+", "#"):
        return False
    pattern_levels, levels = pattern.split("/"), topic.split("/")
    for index, level in enumerate(pattern_levels):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(pattern_levels) == len(levels)
