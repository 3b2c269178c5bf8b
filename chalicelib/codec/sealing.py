"""Writes sealed segments: turns requests into rows, and rows into columns."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from chalicelib.codec import jsontext, segments, summaries
from chalicelib.codec.keys import EARLIEST_MS, HEX4, key_time_ms
from chalicelib.codec.rows import NO_VALUE, RAW, VALUE, Request, Row, Template
from chalicelib.codec.sealed import Sealed
from chalicelib.codec.segment import HAS_VALUE, Draft, Item, SealedItem
from chalicelib.codec.times import DayTexts

_LEVEL = 6
MAX_BODY_BYTES = segments.MAX_BODY_BYTES
_SINGLE = {"v", "c", "n", "i", "t", "k", "a", "x"}
"""All that the header of a segment may have that one point has made."""


class DoesNotFitError(ValueError):
    """A sealed segment is too large for an item of the store. The text says how large."""


@dataclass(slots=True)
class Contents:
    """What a sealed segment holds, in a form that can be changed. ``sealing.encode`` writes it."""

    rows: dict[str, Row]
    """The points, by their places."""
    requests: dict[str, Request]
    """By key."""
    moves: dict[str, str]
    """By the id of a point that was moved away: the key of the segment that it was moved to."""

    @classmethod
    def of(cls, sealed: Sealed) -> "Contents":
        """Return the contents of a decoded segment."""
        return cls({row.home: row for row in sealed.rows()}, sealed.requests(), dict(sealed.moves))

    def put(self, home: str, draft: Draft) -> None:
        """Make ``draft`` the point at a place, whether that exists, was removed, or was moved away."""
        old = self.rows.get(home)
        created_us = old.created_us if old else self.requests[home[:20]].created_us
        point_id = old.id if old else home
        self.rows[home] = Row(
            draft.time_ms, created_us, point_id, home, draft.variable, draft.kinds, draft.line, draft.is_exact
        )
        self.moves.pop(home, None)

    def kill(self, home: str) -> None:
        """Remove the point at a place."""
        self.rows.pop(home, None)

    def forget_requests(self) -> None:
        """Forget the requests of which nothing is left. The same request is a new one then, as if it had a segment."""
        used = {home[:20] for home in self.rows} | {point_id[:20] for point_id in self.moves}
        self.requests = {key: request for key, request in self.requests.items() if key in used}

    def move(self, point_id: str, key: str) -> None:
        """Note that the point was moved to the segment ``key``."""
        self.rows.pop(point_id, None)
        self.moves[point_id] = key


def contents(smalls: Iterable[Item], old: Sealed | None = None) -> Contents:
    """Return what a sealed segment of these requests holds, besides what an old one held already."""
    known = Contents.of(old) if old else Contents({}, {}, {})
    for item in smalls:
        row = _single(item)
        if row is None:
            _add_segment(known, item)
        else:
            known.requests[item.key] = Request(item.digest[4:8], row.created_us)
            known.rows[row.home] = row
    return known


def _single(item: Item) -> Row | None:
    """Return the point of a segment that has one, which nobody has changed, a few times as fast as ``decode``."""
    if item.points != 1 or item.body[0] != segments.PLAIN:
        return None
    header_text, _, line = item.body.partition(b"\n")
    header = orjson.loads(header_text)
    if not header.keys() <= _SINGLE:
        return None
    created_us, home = header["c"] * 1000 + header.get("a", 0), item.key + HEX4[0]
    time_ms = key_time_ms(item.key) - header["t"]
    return Row(time_ms, created_us, home, home, header["n"][0], header["k"], line.decode(), "x" in header)


def _add_segment(known: Contents, item: Item) -> None:
    segment = segments.decode(item)
    known.requests[item.key] = Request(item.digest[4:8], segment.created_us)
    for index, number in enumerate(segment.variables):
        if index not in segment.dead:
            home, name, line = segment.home(index), segment.names[number], segment.lines[index]
            row = Row(*segment.order(index), home, name, segment.kinds[index], line, segment.is_exact)
            known.rows[home] = row
    known.moves |= {segment.home(index): key for index, key in segment.forwards.items()}


def encode(
    device: str,
    low: str,
    key: str,
    held: Contents,
    *,
    version: int,
    expires_at: int | None,
    max_bytes: int = MAX_BODY_BYTES,
) -> SealedItem:
    """Return the item of a sealed segment.

    Raises:
        DoesNotFitError: it does not fit into one item of the store.
    """
    rows = sorted(held.rows.values())
    columns = _Columns(rows)
    oldest_ms = rows[0].time_ms if rows else key_time_ms(key)
    keys = [*dict.fromkeys([row.home[:20] for row in rows])]
    keys += held.requests.keys() - {*keys}
    header: dict[str, Any] = {
        "v": 1,
        "l": len(rows),
        "n": columns.names,
        "p": [[*template] for template in columns.templates],
        "s": _column(columns.shapes),
        "t": _column(_steps([row.time_ms for row in rows], oldest_ms)),
        "k": _column([row.kinds for row in rows]),
    }
    numbered = {request: number for number, request in enumerate(keys)}
    owners = [numbered[row.home[:20]] for row in rows]
    if owners != [*range(len(keys))]:
        header["q"] = owners
    places = [int(row.home[20:], 16) for row in rows]
    if any(places):
        header["i"] = places
    ends = [int(request[:12], 16) + EARLIEST_MS for request in keys]
    if ends != [row.time_ms for row in rows]:
        header["o"] = [end - oldest_ms for end in ends]
    created = [held.requests[request].created_us for request in keys]
    arrivals = orjson.dumps(_arrivals(created, ends)).decode()
    exact = [index for index, row in enumerate(rows) if row.is_exact]
    if exact:
        header["x"] = exact
    moved = [[index, row.id, row.created_us] for index, row in enumerate(rows) if row.id != row.home]
    if moved:
        header["m"] = moved
    if held.moves:
        header["f"] = held.moves
    texts = columns.values
    if any(tail != "}" for tail in columns.tails):
        header["z"] = 1
        texts += columns.tails
    if any(columns.groups):
        header["g"] = 1
        texts += columns.groups
    deflated = zlib.compress("\n".join([orjson.dumps(header).decode(), arrivals, "\n".join(texts)]).encode(), _LEVEL)
    raw = bytes.fromhex("".join([request[12:] for request in keys]))
    checks = b"".join([held.requests[request].check for request in keys])
    body = len(deflated).to_bytes(4, "big") + deflated + raw + checks
    summary = summaries.encode(rows[-1].time_ms if rows else oldest_ms, columns.facts())
    if len(body) + len(summary) > max_bytes:
        raise DoesNotFitError(f"the points take {len(body) + len(summary)} bytes, more than {max_bytes}")
    return SealedItem(device, key, low, oldest_ms, len(rows), version, expires_at, summary, body)


def _arrivals(created: Sequence[int], ends: Sequence[int]) -> dict[str, list[int]]:
    """Return the column of arrivals in the shorter of two forms: their steps, or the steps of their lags."""
    lags = [at - end * 1000 for at, end in zip(created, ends, strict=True)]
    steps, lag_steps = _steps(created), _steps(lags)
    return {"a": steps} if len(str(steps)) <= len(str(lag_steps)) else {"b": lag_steps}


def _steps(values: Sequence[int], start: int = 0) -> list[int]:
    """Return each value less the one before, the first less ``start``."""
    return [value - before for before, value in pairwise([start, *values])]


def _column(values: list[int]) -> int | list[int]:
    """Return the column, or its only value if all are equal."""
    return values[0] if values and values.count(values[0]) == len(values) else values


class _Columns:
    """The columns of rows that hold text.

    Args:
        rows: in rising order, of one UTC day.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.names: list[str] = [*dict.fromkeys([row.variable for row in rows])]
        self.templates: list[Template] = []
        self.shapes: list[int] = []
        self.values: list[str] = []
        self.tails: list[str] = []
        self.groups: list[str] = []
        self._rows = rows
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self._starts = {name: f'"variable":{jsontext.dumps(name)},' for name in self.names}
        self._known: dict[Template, int] = {}
        self._last: dict[tuple[str, int], int] = {}
        """By variable and kinds: the template of the last line, which mostly is that of the next one."""
        times = DayTexts(rows[0].time_ms).of([row.time_ms for row in rows]) if rows else []
        for row, time in zip(rows, times, strict=True):
            self._add(row, f'","time":"{time}"')

    def _add(self, row: Row, time: str) -> None:
        line = row.line
        shape = self._last.get((row.variable, row.kinds))
        if shape is not None:
            _, holds, start, middle = self.templates[shape]
            end = line.find(middle, len(start))
            group_at = end + len(middle)
            is_alike = holds == VALUE and end >= 0 and line.startswith(start) and line.endswith(time + "}", group_at)
            value = line[len(start) : end]
            if is_alike and len(line) == group_at + 25 + len(time) and '"unit":' not in value:
                self._append(row, shape, value, "}", line[group_at : group_at + 24])
                return
        template, value, tail, group = self._split(row, time)
        shape = self._known.setdefault(template, len(self.templates))
        if shape == len(self.templates):
            self.templates.append(template)
        self._last[row.variable, row.kinds] = shape
        self._append(row, shape, value, tail, group)

    def _append(self, row: Row, shape: int, value: str, tail: str, group: str) -> None:
        self.shapes.append(shape)
        self.values.append(value)
        self.tails.append(tail)
        self.groups.append("" if group == row.home[:20] + "0000" else group)

    def _split(self, row: Row, time: str) -> tuple[Template, str, str, str]:
        """Cut a line into template, value, tail and group.

        The names of fields with their quotation marks cannot stand inside of a text, where these are escaped.
        """
        line, start = row.line, self._starts[row.variable]
        number, holds, middle_at = self._numbers[row.variable], NO_VALUE, len(start)
        if row.kinds & HAS_VALUE:
            holds, start = VALUE, start + '"value":'
        group_at = line.find('"group":"', len(start) - 1) + 9
        time_at = line.find(time, group_at)
        if group_at < 9 or time_at < 0 or not line.startswith(start):
            return Template(number, RAW, "", ""), line, "}", ""
        if holds == VALUE:
            middle_at = line.find(',"unit":"', len(start), group_at)
            middle_at = group_at - 10 if middle_at < 0 else middle_at
        value, middle = line[len(start) : middle_at], line[middle_at:group_at]
        return Template(number, holds, start, middle), value, line[time_at + len(time) :], line[group_at:time_at]

    def facts(self) -> Mapping[str, summaries.Facts | None]:
        """Return the facts of each variable; None if it gets none."""
        by_name: dict[str, list[int]] = {name: [] for name in self.names}
        for index, row in enumerate(self._rows):
            by_name[row.variable].append(index)
        return {name: self._facts_of(indices) for name, indices in by_name.items()}

    def _facts_of(self, indices: list[int]) -> summaries.Facts | None:
        if len(indices) < summaries.LEAST_POINTS:
            return None
        texts = []
        for index in indices:
            holds = self.templates[self.shapes[index]][1]
            if holds == RAW or self._rows[index].is_exact:
                return None
            if holds == VALUE:
                texts.append(self.values[index])
        values = orjson.loads("[" + ",".join(texts) + "]")
        return summaries.facts_of(len(indices), [value for value in values if type(value) in (int, float)])
