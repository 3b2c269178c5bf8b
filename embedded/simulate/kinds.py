"""The kinds of device, and what each measures at a moment. All follows from seed, number and time."""

import math
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

_DAY_S, _HOUR_S = 86_400, 3_600
Point = dict[str, Any]


class Nature(NamedTuple):
    """What makes one device differ from others of its kind. Each is evenly spread over 0 to 1."""

    seed: str
    size: float
    phase: float
    lat: float
    lng: float

    def noise(self, time_s: int, width: float) -> float:
        """Return a random number of mean 0, always the same at the same time."""
        return random.Random(f"{self.seed}/{time_s}").gauss(0, width)  # noqa: S311 - no secret

    def slow(self, time_s: int, days: float) -> float:
        """Return a number from -1 to 1 that wanders within days."""
        turns = time_s / _DAY_S / days + self.phase
        return 0.7 * math.sin(math.tau * turns) + 0.3 * math.sin(math.tau * 2.7 * turns + 1)


@lru_cache(maxsize=10_000)
def nature(seed: int, number: int) -> Nature:
    """Return the nature of a device.

    >>> nature(1, 5) == nature(1, 5) != nature(2, 5)
    True
    """
    text = f"{seed}/{number}"
    drawn = random.Random(text)  # noqa: S311 - no secret
    return Nature(text, *(drawn.random() for _ in range(4)))


def _wave(time_s: int, peak_hour: float) -> float:
    """Return a daily curve from -1 to 1 with its peak at an hour (UTC)."""
    return math.cos(math.tau * (time_s / _HOUR_S - peak_hour) / 24)


def _point(variable: str, value: float, unit: str = "", digits: int = 1) -> Point:
    point = {"variable": variable, "value": round(value, digits) if digits else round(value)}
    return point | {"unit": unit} if unit else point


def _weather(own: Nature, time_s: int, _: int) -> list[Point]:
    warm = 12 + 6 * own.slow(time_s, 6) + (4 + 3 * own.size) * _wave(time_s, 15)
    damp = 70 - 3 * (warm - 12) + own.noise(time_s, 1)
    return [
        _point("temperature", warm + own.noise(time_s, 0.15), "°C"),
        _point("humidity", min(100.0, max(15.0, damp)), "%"),
        _point("pressure", 1_013 + 14 * own.slow(time_s, 9), "hPa"),
        _point("wind", abs(3 + 3 * own.slow(time_s, 2) + own.noise(time_s, 0.8)), "m/s"),
    ]


def _energy(own: Nature, time_s: int, _: int) -> list[Point]:
    """The meter's reading is the integral of the smooth part of the power, so it never falls."""
    days, mean_w = time_s / _DAY_S, 300 + 900 * own.size
    smooth_w = mean_w * (1 + 0.5 * _wave(time_s, 19) + 0.3 * _wave(2 * time_s, 14))
    angles = math.tau * (days - 19 / 24), math.tau * (2 * days - 14 / 24)
    swing = (0.5 * math.sin(angles[0]) + 0.15 * math.sin(angles[1])) / math.tau
    read_kwh = mean_w * 24 / 1_000 * (days - 18_000 + swing)
    return [
        _point("power", max(20.0, smooth_w + own.noise(time_s, 0.05 * mean_w)), "W", 0),
        _point("energy", read_kwh, "kWh", 3),
        _point("voltage", 230 + 2 * own.slow(time_s, 1) + own.noise(time_s, 0.4), "V"),
    ]


def _tank(own: Nature, time_s: int, _: int) -> list[Point]:
    used = (time_s / _DAY_S / (3 + 4 * own.size) + own.phase) % 1
    level = 96 - 82 * used + own.noise(time_s, 0.1)
    return [_point("level", level, "%"), _point("volume", level * (10 + 40 * own.size), "L", 0)]


def _is_open(own: Nature, time_s: int) -> bool:
    often = 0.25 if 7 <= time_s % _DAY_S / _HOUR_S < 19 else 0.01
    return random.Random(f"{own.seed}/{time_s // 240}").random() < often  # noqa: S311 - no secret


def _door(own: Nature, time_s: int, every_s: int) -> list[Point]:
    """A door sends when it opens or closes, and its battery every six hours."""
    state = _is_open(own, time_s)
    points: list[Point] = []
    if state != _is_open(own, time_s - every_s):
        points.append({"variable": "open", "value": state})
    if time_s % (6 * _HOUR_S) < every_s:
        points.append(_point("battery", 3.6 - 0.4 * (time_s / _DAY_S / 200 % 1), "V", 2))
    return points


def _tracker(own: Nature, time_s: int, _: int) -> list[Point]:
    """A vehicle drives a loop around its depot from 6 to 18, and is parked at night."""
    hour = time_s % _DAY_S / _HOUR_S
    driven, is_driving = min(max((hour - 6) / 12, 0.0), 1.0), 6 < hour < 18
    angle = math.tau * driven
    reach = 0.05 + 0.2 * own.size
    lat = 40 + 12 * own.lat + reach * math.sin(2 * angle) * math.cos(angle)
    lng = -5 + 20 * own.lng + reach * (1 - math.cos(angle))
    speed = max(0.0, 45 + 25 * own.slow(time_s, 0.05) + own.noise(time_s, 4)) if is_driving else 0.0
    place = {"lat": round(lat, 6), "lng": round(lng, 6)}
    return [
        {**_point("speed", speed, "km/h"), "location": place},
        _point("battery", 12.6 + (1.4 if is_driving else 0) + own.noise(time_s, 0.03), "V", 2),
    ]


def _room(own: Nature, time_s: int, _: int) -> list[Point]:
    is_weekday = (time_s // _DAY_S + 3) % 7 < 5  # 1970 began on a Thursday
    busy = max(0.0, _wave(time_s, 12)) * (1.0 if is_weekday else 0.1)
    return [
        _point("co2", 430 + (300 + 500 * own.size) * busy + own.noise(time_s, 12), "ppm", 0),
        _point("temperature", 20 + 2.5 * busy + own.noise(time_s, 0.1), "°C"),
        _point("people", (2 + 10 * own.size) * busy, digits=0),
    ]


class Kind(NamedTuple):
    """A kind of device."""

    title: str
    measure: Callable[[Nature, int, int], list[Point]]
    """Takes a time in seconds since 1970 and how often it measures; returns points without a time."""


KINDS = {
    "weather": Kind("Weather station", _weather),
    "energy": Kind("Energy meter", _energy),
    "tracker": Kind("Tracker", _tracker),
    "tank": Kind("Tank", _tank),
    "room": Kind("Room sensor", _room),
    "door": Kind("Door", _door),
}
"""The kinds, by the value of the tag ``kind``. Devices get them in turn."""


def kind_of(number: int) -> str:
    """Return the kind of a device."""
    return [*KINDS][number % len(KINDS)]


def reading(seed: int, number: int, time_s: int, every_s: int) -> list[Point]:
    """Return the points that a device sends at a time; none: it has nothing to say.

    Args:
        seed: see ``nature``.
        number: the number of the device.
        time_s: whole seconds since 1970.
        every_s: how often it measures.

    >>> reading(1, 3, 1_767_225_600, 5)[0]
    {'variable': 'level', 'value': 69.5, 'unit': '%', 'time': 1767225600000}
    """
    points = KINDS[kind_of(number)].measure(nature(seed, number), time_s, every_s)
    return [{**point, "time": time_s * 1_000} for point in points]
