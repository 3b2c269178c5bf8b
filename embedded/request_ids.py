"""The id of each HTTP request of this process. It stands in the answer's header and in the log's line."""

import itertools
import os

_PREFIX = os.urandom(6).hex()
_numbers = itertools.count(1)


def new() -> str:
    """Return the id of a new request."""
    return f"{_PREFIX}-{next(_numbers):x}"
