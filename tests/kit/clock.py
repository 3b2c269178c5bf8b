"""Replaces the clock by one that a test moves."""

import threading
import time

from chalicelib.host import clock

NOW_MS = 1_790_000_000_000
"""2026-09-21T14:13:20Z, a Monday."""


class Clock:
    """A clock that shows the same time until a test advances it."""

    def __init__(self, now_ms):
        self.now_ms = now_ms
        self.elapsed_s = 0.0

    def advance(self, seconds):
        """Move the clock forward."""
        self.now_ms += int(seconds * 1000)
        self.elapsed_s += seconds

    def install(self, monkeypatch):
        """Make the app read the time from this clock."""
        monkeypatch.setattr(clock, "now_us", lambda: self.now_ms * 1000)
        monkeypatch.setattr(clock, "_latest_us", [0])
        monkeypatch.setattr(clock, "monotonic_s", lambda: self.elapsed_s)
        monkeypatch.setattr(clock, "sleep", self.advance)
        return self

    def take_pauses(self, monkeypatch):
        """Let pauses of this thread move the clock instead of taking time. Threads of earlier tests may still wait."""
        own, sleep = threading.get_ident(), time.sleep
        monkeypatch.setattr(time, "sleep", lambda s: self.advance(s) if threading.get_ident() == own else sleep(s))
