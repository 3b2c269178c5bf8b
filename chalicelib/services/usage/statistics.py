"""What devices and profiles used over time: totals since the beginning of each calendar month, UTC, hour by hour."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from chalicelib import store
from chalicelib.codec import hours, periods, times
from chalicelib.schemas.statistics import StatisticsQuery
from chalicelib.store import Totals


def of_profile(*, profile: str, query: StatisticsQuery) -> list[dict[str, Any]]:
    """Return what a profile has used: ``time``, ``input``, ``output`` and ``data_records`` for each period.

    Returns:
        The periods of the range that have begun, newest first. ``time`` is when a period began; its numbers are those
        at its end. If the range includes now, the first item has the time and the numbers of now. A number that is 0 is
        left out, and so are periods without any.

    Cost: on DynamoDB one query, or two, of at most 13 months: 0.1 reads an hour in which something was used.
    """
    return _list(store.current().history(profile, None, *_bounds(query)), query, ("input", "output", "data_records"))


def of_device(*, profile: str, device: str, query: StatisticsQuery) -> list[dict[str, Any]]:
    """Return what a device has used: as ``of_profile``, with ``time``, ``device_input`` and ``device_output``."""
    return _list(store.current().history(profile, device, *_bounds(query)), query, ("device_input", "device_output"))


def _bounds(query: StatisticsQuery) -> tuple[int, int]:
    """Return the first hour of the month in which the range begins, and the last hour of the range."""
    first = hours.of_month(query.start_ms // hours.HOUR_MS)
    return max(0, first), max(0, min(query.end_ms, query.now_ms) // hours.HOUR_MS)


def _list(known: Sequence[Totals], query: StatisticsQuery, names: tuple[str, ...]) -> list[dict[str, Any]]:
    numbers = [row.hour for row in known]

    def totals_at(hour: int) -> Totals:
        """Return the totals when an hour began: before the next change, they were the same."""
        return known[min(bisect_left(numbers, hour), len(known) - 1)]

    rows = []
    for start_ms, end_ms in _periods(query):
        is_now = end_ms > query.now_ms
        last_hour = min(end_ms - 1, query.now_ms) // hours.HOUR_MS
        at_end, base = totals_at(last_hour + 1), totals_at(hours.of_month(last_hour))
        used = (at_end.points_in - base.points_in, at_end.points_out - base.points_out, at_end.records)
        row = {name: number for name, number in zip(names, used, strict=False) if number}
        if row or is_now:
            rows.append({"time": times.to_iso(query.now_ms if is_now else start_ms), **row})
    return rows


def _periods(query: StatisticsQuery) -> Iterator[tuple[int, int]]:
    """Yield start and end of each period of the range that has begun, newest first."""
    zone = UTC if query.periodicity == "month" else query.zone
    time_ms = min(query.end_ms, query.now_ms)
    while time_ms >= query.start_ms:
        start_ms, end_ms = periods.bucket(time_ms, query.periodicity, zone)
        yield start_ms, end_ms
        time_ms = start_ms - 1
