"""Topics of devices; topic filters: whether one is valid, and which topics it matches."""

from functools import lru_cache

MAX_SLASHES, MAX_BYTES = 7, 256
"""What IoT Core allows in a topic. Bytes are of UTF-8."""
MAX_FILTER_LEVELS, MAX_FILTER_BYTES = 128, 1_024
"""What a filter may have. Its levels bound the cost of a comparison, however long a topic is."""
_CACHED_CHARACTERS, _CACHED = 256, 4_096
"""How many characters a pair of filter and topic may have to be remembered, and how many are: 5 MB at most."""


def of_device(device: str, topic: str) -> str:
    """Return the topic on IoT Core for a topic of one device."""
    return f"device/{device}/{topic}"


def is_filter(text: str) -> bool:
    """Return whether a text is a valid filter: ``#`` only as the last level, ``+`` and ``#`` only as whole levels.

    It must also be within MAX_FILTER_LEVELS and MAX_FILTER_BYTES.
    """
    if not text or len(text.encode()) > MAX_FILTER_BYTES or text.count("/") >= MAX_FILTER_LEVELS:
        return False
    if is_shared(text):
        return False
    levels = text.split("/")
    return all(level in ("+", "#") or not ("+" in level or "#" in level) for level in levels) and "#" not in levels[:-1]


def is_shared(text: str) -> bool:
    """Return whether a text has the form of a shared subscription, which nothing here offers."""
    return text.startswith("$share/")


def matches(pattern: str, topic: str) -> bool:
    """Return whether a filter matches a topic. A wildcard at its start matches no topic that begins with ``$``.

    Cost: at most MAX_FILTER_LEVELS comparisons; most often none, as the latest small pairs are remembered.

    >>> matches("a/+/#", "a/b"), matches("a/+", "a/"), matches("#", "$SYS/x")
    (True, True, False)
    """
    if len(pattern) + len(topic) <= _CACHED_CHARACTERS:
        return _remembered(pattern, topic)
    return _compare(pattern, topic)


def _compare(pattern: str, topic: str) -> bool:
    if topic.startswith("$") and pattern[:1] in ("+", "#"):
        return False
    wanted = pattern.split("/")
    levels = topic.split("/", len(wanted))
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


_remembered = lru_cache(maxsize=_CACHED)(_compare)
