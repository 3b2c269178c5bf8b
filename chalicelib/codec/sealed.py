"""The sealed segment: many requests of one device and one UTC day in one item, as columns.

Points that arrive one by one are stored as segments of one point. Later they are sealed: merged into a segment of up to
some hundred points. A point keeps its id, its arrival and its text.

A body is a deflated part, and 8 raw bytes a request: the suffix of its key, and the 4 bytes of its digest that follow.
The deflated part has a header line with columns of numbers, a line with the arrivals, and columns of text, one line a
point: its value, and if some differ, what follows its time, and its group. Points are in rising order. ``templates``
hold the rest of the text.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import sub
from struct import pack
from typing import Any, TypeVar

import orjson

from chalicelib.codec import numbers
from chalicelib.codec.keys import EARLIEST_MS, HEX4, key_time_ms
from chalicelib.codec.rows import NO_VALUE, RAW, VALUE, Request, Row, Template
from chalicelib.codec.segment import Moved, SealedItem, Segment
from chalicelib.codec.times import DayTexts

T = TypeVar("T")


@dataclass(slots=True)
class Sealed(Segment):
    """A decoded sealed segment. It has no ``lines`` and no ``dead`` points: ``line`` makes the text of one."""

    low: str = ""
    templates: list[Template] = field(default_factory=list)
    shapes: Sequence[int] = ()
    """By point: index into ``templates``."""
    texts: str = ""
    """The columns of text, one after the other."""
    has_tails: bool = False
    has_groups: bool = False
    owners: Sequence[int] = ()
    """By point: the number of its request."""
    places: Sequence[int] = ()
    """By point: its index in its request. Empty: all are 0."""
    ends: Sequence[int] = ()
    """By request: milliseconds from the time of its key to that of this segment's key."""
    arrivals_text: str = ""
    """See ``arrivals``."""
    suffixes: bytes = b""
    """By request: the last 4 bytes of its key."""
    checks: bytes = b""
    """By request: 4 bytes."""
    exact: frozenset[int] = frozenset()
    """The points that hold a number that a float would round."""
    moves: dict[str, str] = field(default_factory=dict)
    """By the id of a point that was moved away: the key of the segment that it was moved to."""
    _arrivals: list[int] | None = None
    _split: tuple[Sequence[str], Sequence[str], Sequence[str]] | None = None
    _parsed: list[Any] | None = None
    _keys: list[str] | None = None
    _homes: dict[str, int] | None = None
    _objects: list[str] | None = None
    """By point: its finished JSON object, once they are kept; see ``splice``."""
    _asked: int = 0
    """How many objects were asked for before. Threads that count at once may count too few."""
    _numbers: dict[str, tuple[list[int], list[Any]] | None] = field(default_factory=dict)

    @property
    def newest_ms(self) -> int:
        """The time of its newest point."""
        return self.time_ms - self.offsets[-1] if self.offsets else self.time_ms

    @property
    def is_ordered(self) -> bool:
        """Whether the points are in the order of answers."""
        return True

    @property
    def arrivals(self) -> Sequence[int]:
        """By request: when it arrived, in microseconds since 1970. Computed once."""
        if self._arrivals is None:
            key_ms, column = self.time_ms, orjson.loads(self.arrivals_text)
            if "a" in column:
                self._arrivals = [*accumulate(column["a"])]
            else:
                lags = accumulate(column["b"])
                self._arrivals = [(key_ms - end) * 1000 + lag for end, lag in zip(self.ends, lags, strict=True)]
        return self._arrivals

    @property
    def _columns(self) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
        """By point: the text of the value, of what follows the time, and of the group; the last two may be empty."""
        if self._split is None:
            count, texts = len(self.offsets), self.texts.split("\n")
            tails = texts[count : 2 * count] if self.has_tails else ()
            self._split = texts[:count], tails, texts[-count:] if self.has_groups else ()
        return self._split

    @property
    def keys(self) -> list[str]:
        """By request: its key. Computed once, for all requests: one by one would take several times as long."""
        if self._keys is None:
            newest = self.time_ms - EARLIEST_MS
            times = pack(f">{len(self.ends)}Q", *[newest - end for end in self.ends])
            raw = bytearray(10 * len(self.ends))
            for place in range(6):
                raw[place::10] = times[place + 2 :: 8]
            for place in range(4):
                raw[place + 6 :: 10] = self.suffixes[place::4]
            self._keys = raw.hex(" ", 10).split()
        return self._keys

    def number_of(self, key: str) -> int | None:
        """Return the number of a request; None: it is not in this segment. Cost: a search in some bytes."""
        suffix, end = bytes.fromhex(key[12:]), self.time_ms - key_time_ms(key)
        at = self.suffixes.find(suffix)
        while at >= 0:
            if at % 4 == 0 and self.ends[at // 4] == end:
                return at // 4
            at = self.suffixes.find(suffix, at + 1)
        return None

    def request_or_raise(self, key: str) -> Request:
        """Return what is kept of the request ``key``. Raises KeyError: it is not in this segment."""
        number = self.number_of(key)
        if number is None:
            raise KeyError(key)
        return Request(self.checks[number * 4 : number * 4 + 4], self.arrivals[number])

    def home(self, index: int) -> str:
        """Return the place of the point at ``index``: the key of its request, and its index there."""
        return self.keys[self.owners[index]] + HEX4[self.places[index] if self.places else 0]

    def point_id(self, index: int) -> str:
        """Return the id of the point at ``index``."""
        origin = self.moved.get(index) if self.moved else None
        return origin.id if origin else self.home(index)

    def point_created_us(self, index: int) -> int:
        """Return when the point at ``index`` arrived, in microseconds since 1970."""
        origin = self.moved.get(index) if self.moved else None
        return origin.created_us if origin else self.arrivals[self.owners[index]]

    def order(self, index: int) -> tuple[int, int, str]:
        """See Segment."""
        return self.time_ms - self.offsets[index], self.point_created_us(index), self.point_id(index)

    def homes_of(self, key: str) -> list[tuple[str, int]]:
        """Return the places of a request's points, with their indices."""
        number = self.number_of(key)
        return [(self.home(index), index) for index, owner in enumerate(self.owners) if owner == number]

    def locate(self, point_id: str) -> int | str | None:
        """See Segment."""
        key = self.moves.get(point_id)
        if key is not None:
            return key
        index = self._index_at(point_id)
        return None if index is None or index in self.moved else index

    def _index_at(self, home: str) -> int | None:
        if self._homes is None:
            self._homes = {self.home(index): index for index in range(len(self.offsets))}
        return self._homes.get(home)

    def _group_text(self, index: int) -> str:
        """Return the JSON text of a point's group, without quotation marks. The point must not be RAW."""
        groups = self._columns[2]
        own = groups[index] if groups else ""
        return own or self.keys[self.owners[index]] + HEX4[0]

    def group(self, index: int) -> str:
        """See Segment."""
        text = self._group_text(index)
        if self.templates[self.shapes[index]].holds == RAW or "\\" in text:
            return str(self.point(index)["group"])
        return text

    def line(self, index: int) -> str:
        """See Segment."""
        return self._lines_of((index,), self._keys_of((index,)))[0]

    def value(self, index: int) -> Any:
        """See Segment. Only the value is decoded."""
        holds = self.templates[self.shapes[index]].holds
        if holds == RAW:
            return self.point(index).get("value")
        if holds == NO_VALUE:
            return None
        text = self._columns[0][index]
        return numbers.loads_exact(text) if index in self.exact else orjson.loads(text)

    def values_at_once(self) -> Sequence[Any] | None:
        """See Segment. Computed once."""
        if self._parsed is None and not self.exact:
            kinds = {template.holds for template in self.templates}
            if kinds == {VALUE} and not self.has_tails and not self.has_groups:
                self._parsed = orjson.loads("[" + self.texts.replace("\n", ",") + "]")
            elif RAW not in kinds:
                self._parsed = orjson.loads("[" + ",".join([text or "null" for text in self._columns[0]]) + "]")
        return self._parsed

    def numbers_of(self, name: str) -> tuple[list[int], list[Any]] | None:
        """Return the rising times and the values of a variable's points, if all of them are plain numbers.

        Computed once: do not change the lists.

        Returns:
            None: the points must be looked at one by one.
        """
        if name not in self._numbers:
            self._numbers[name] = self._find_numbers(name)
        return self._numbers[name]

    def _find_numbers(self, name: str) -> tuple[list[int], list[Any]] | None:
        parsed = self.values_at_once()
        if parsed is None:
            return None
        indices = self.indices_of(name)
        found = [parsed[index] for index in indices]
        if not {*map(type, found)} <= {int, float}:
            return None
        newest_ms, offsets = self.time_ms, self.offsets
        return [newest_ms - offsets[index] for index in indices], found

    def splice(self, indices: Sequence[int], *, details: bool) -> list[str]:
        """See Segment. When as many points were asked for as it has, the objects of all are made and kept."""
        if details or self.moved:
            return self._splice_each(indices, details)
        if self._objects is None:
            self._asked += len(indices)
            if self._asked < len(self.offsets):
                return self._objects_of(indices)
            self._objects = self._objects_of(range(len(self.offsets)))
        return [*_at(self._objects, indices)]

    def _objects_of(self, indices: Sequence[int]) -> list[str]:
        """Return the finished JSON objects of points. Reads of many points spend their time here and below."""
        keys, device, places = self._keys_of(indices), f'","device":"{self.device}",', self.places
        lines = self._lines_of(indices, keys)
        if not places:
            return [f'{{"id":"{key}0000{device}{line}' for key, line in zip(keys, lines, strict=True)]
        ends = [HEX4[place] for place in _at(places, indices)]
        return [f'{{"id":"{key}{end}{device}{line}' for key, end, line in zip(keys, ends, lines, strict=True)]

    def _keys_of(self, indices: Sequence[int]) -> Sequence[str]:
        """Return the keys of the requests of points."""
        return _at(self.keys, indices if isinstance(self.owners, range) else _at(self.owners, indices))

    def _lines_of(self, indices: Sequence[int], keys: Sequence[str]) -> list[str]:
        """Return the lines of points, whose requests have these keys."""
        templates, (values, all_tails, all_groups) = self.templates, self._columns
        newest_ms, shapes = self.time_ms, _at(self.shapes, indices)
        times = DayTexts(newest_ms).of([newest_ms - offset for offset in _at(self.offsets, indices)])
        starts = [*map([template.start for template in templates].__getitem__, shapes)]
        middles = [*map([template.middle for template in templates].__getitem__, shapes)]
        parts = starts, _at(values, indices), middles, keys, times
        if not all_groups and not all_tails and not any(template.holds == RAW for template in templates):
            return [
                f'{start}{value}{middle}{key}0000","time":"{time}"}}'
                for start, value, middle, key, time in zip(*parts, strict=True)
            ]
        groups = _at(all_groups, indices) if all_groups else [""] * len(indices)
        tails = _at(all_tails, indices) if all_tails else ["}"] * len(indices)
        return [
            value
            if templates[shape].holds == RAW
            else f'{start}{value}{middle}{group or key + HEX4[0]}","time":"{time}"{tail}'
            for start, value, middle, key, time, shape, group, tail in zip(*parts, shapes, groups, tails, strict=True)
        ]

    def rows(self) -> list[Row]:
        """Return all points."""
        names, kinds, exact, moved, places = self.names, self.kinds, self.exact, self.moved, self.places
        newest_ms, offsets, arrivals, owners = self.time_ms, self.offsets, self.arrivals, self.owners
        indices = range(len(offsets))
        keys, rows = self._keys_of(indices), []
        for index, line in enumerate(self._lines_of(indices, keys)):
            home = keys[index] + (HEX4[places[index]] if places else HEX4[0])
            point_id, created_us = moved.get(index) or (home, arrivals[owners[index]])
            name, time_ms = names[self.variables[index]], newest_ms - offsets[index]
            rows.append(Row(time_ms, created_us, point_id, home, name, kinds[index], line, index in exact))
        return rows

    def requests(self) -> dict[str, Request]:
        """Return all requests by their keys, also those without points."""
        checks, arrivals = self.checks, self.arrivals
        return {
            key: Request(checks[number * 4 : number * 4 + 4], arrivals[number]) for number, key in enumerate(self.keys)
        }


def decode(item: SealedItem) -> Sealed:
    """Read a stored item. A damaged item raises."""
    size = int.from_bytes(item.body[:4], "big")
    raw = item.body[4 + size :]
    header_text, arrivals, texts = zlib.decompress(item.body[4 : 4 + size]).decode().split("\n", 2)
    header = orjson.loads(header_text)
    points, requests = header["l"], len(raw) // 8
    key_ms = key_time_ms(item.key)
    templates = [Template(*of) for of in header["p"]]
    shapes = _full(header["s"], points)
    names = [template.name for template in templates]
    variables = shapes if names == [*range(len(names))] else [names[shape] for shape in shapes]
    newest = key_ms - item.oldest_ms
    offsets = [*accumulate(_full(header["t"], points), sub, initial=newest)][1:]
    ends = [newest - passed for passed in header["o"]] if "o" in header else offsets
    sealed = Sealed(
        item.device, item.key, 0, header["n"], variables, offsets, _full(header["k"], points), [],
        version=item.version, expires_at=item.expires_at, is_exact="x" in header, low=item.low,
        templates=templates, shapes=shapes, texts=texts, has_tails="z" in header, has_groups="g" in header,
        owners=header.get("q") or range(points),
        places=header.get("i", ()), ends=ends, arrivals_text=arrivals,
        suffixes=raw[: requests * 4], checks=raw[requests * 4 :],
    )  # fmt: skip
    sealed.exact = frozenset(header.get("x", ()))
    sealed.moved = {index: Moved(point_id, created_us) for index, point_id, created_us in header.get("m", ())}
    sealed.moves = header.get("f", {})
    return sealed


def _full(column: int | list[int], length: int) -> list[int]:
    """Return a column of which only the value that all have may be stored."""
    return column if isinstance(column, list) else [column] * length


def _at(column: Sequence[T], indices: Sequence[int]) -> Sequence[T]:
    """Return the elements of a column at these indices."""
    if isinstance(indices, range) and len(indices) == len(column):  # in rising or falling order
        return column if not indices or indices[0] == 0 else column[::-1]
    return [*map(column.__getitem__, indices)]
