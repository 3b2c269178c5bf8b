"""Reads arguments of the command line, for argparse."""

import argparse
import datetime
import math


def positive(text: str) -> float:
    """Return a number above 0, for argparse. ``inf`` is one. Raises argparse.ArgumentTypeError: it is none."""
    try:
        found = float(text)
    except ValueError:
        found = 0
    if not found > 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")
    return found


def finite(text: str) -> float:
    """Return a number above 0, but not ``inf``. Raises argparse.ArgumentTypeError: it is none."""
    found = positive(text)
    if math.isinf(found):
        raise argparse.ArgumentTypeError(f"{text!r} must be a finite number")
    return found


def whole(text: str) -> int:
    """Return a whole number above 0, such as 1000 or 1e6. Raises argparse.ArgumentTypeError: it is none."""
    found = finite(text)
    if found != int(found):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number")
    return int(found)


def time(text: str) -> datetime.datetime:
    """Return a time with its zone, for argparse.

    Raises:
        argparse.ArgumentTypeError: it is not a time, or it has no zone, so it could be meant otherwise.
    """
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} must be a time with its zone, such as 2026-11-26T07:00:00Z")
    return found.astimezone(datetime.UTC).replace(microsecond=0)
