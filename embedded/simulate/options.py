"""The arguments of the commands ``simulate`` and ``demo``. The server needs none of the libraries that these use."""

import argparse
import re
from typing import NamedTuple

from embedded import client_options
from embedded.client_options import URL

_MQTT_OF = {URL: "127.0.0.1:1883"}
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MOST_PER_S = 500
"""How many readings a second there may be, so that one core is enough."""


def span_s(text: str) -> int:
    """Read a length of time.

    Raises:
        ValueError: it is none.

    >>> span_s("5s"), span_s("7d")
    (5, 604800)
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise ValueError
    return int(found[1]) * _UNITS_S[found[2]]


class Options(NamedTuple):
    """What to simulate."""

    url: str
    token: str
    mqtt: str
    """``host:port``; empty: all send by HTTP."""
    devices: int
    every_s: int
    history_s: int
    seed: int
    rounds: int | None
    """After how many readings of each device to end; None: at Ctrl-C."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands ``simulate`` and ``demo``."""
    parser = commands.add_parser("simulate", help="send what many devices would send, until Ctrl-C")
    client_options.add_to(parser, "a profile")
    parser.add_argument("--mqtt", metavar="HOST:PORT", help="address of MQTT, or none; 8883 has TLS")
    parser.add_argument("--devices", type=int, default=24, metavar="N", help="how many; by default 24")
    parser.add_argument("--every", type=span_s, default=5, metavar="5s", help="how often each sends; by default 5s")
    parser.add_argument("--history", type=span_s, default=0, metavar="7d", help="fill so much of the past first")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed has other devices")
    both = commands.add_parser("demo", help="serve a data folder of its own, and simulate devices, until Ctrl-C")
    for command in (parser, both):
        command.add_argument("--rounds", type=int, metavar="N", help="end when each device has measured so often")


def options_of(given: argparse.Namespace) -> Options:
    """Check the arguments. Raises ValueError: they make no sense."""
    if given.devices < 1 or given.every < 1:
        raise ValueError("--devices and --every must be at least 1")
    if given.devices > _MOST_PER_S * given.every:
        raise ValueError(f"{_MOST_PER_S} readings a second are the most: choose fewer --devices or a longer --every")
    mqtt = given.mqtt if given.mqtt is not None else _MQTT_OF.get(given.url.rstrip("/"), "none")
    if mqtt != "none" and not re.fullmatch(r".+:\d{1,5}", mqtt):
        raise ValueError("--mqtt must be HOST:PORT or none")
    return Options(
        given.url, given.token, "" if mqtt == "none" else mqtt, given.devices, given.every, given.history, given.seed,
        given.rounds,
    )  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status. Raises ValueError: the arguments make no sense, or the API refuses."""
    from embedded.simulate import command  # noqa: PLC0415 - see above

    return command.run(options_of(given))


def demo(given: argparse.Namespace) -> int:
    """Serve and simulate; return the exit status. Raises ValueError: the API refuses, or is not there, at the start."""
    from embedded.simulate import demo as command  # noqa: PLC0415 - see above

    return command.run(given.rounds)
