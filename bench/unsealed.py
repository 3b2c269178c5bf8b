"""Decant's embedded mode without the chore that seals, to measure what sealing takes of the other requests."""

import sys

from embedded import __main__ as embedded
from embedded import chores

SEALER = "seal_often"
"""The name of the chore in ``embedded/chores.py``."""


async def _nothing(*_: object) -> None:
    pass


if __name__ == "__main__":
    if not hasattr(chores, SEALER):
        sys.exit(f"embedded/chores.py has no {SEALER}")
    setattr(chores, SEALER, _nothing)
    sys.exit(embedded.main())
