"""Shows how far a transfer is: a bar on a terminal, else a line every few seconds. It goes to the error output."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from embedded.terminal import printable

_LINE_EVERY_S = 10.0


class Shown:
    """Shows one piece of work.

    Args:
        title: what is done.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Progress | None = None
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[text]}", markup=False),
            )
            self._bar = Progress(*columns, TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task(printable(title), total=None, text="")
        self._next_s = time.monotonic() + _LINE_EVERY_S

    @property
    def is_bar(self) -> bool:
        """Whether there is a bar, for which a total is worth a request."""
        return self._bar is not None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, done: int, total: int | None, text: str) -> None:
        """Show how far the work is.

        Args:
            done: in any unit.
            total: in the same unit; None if it is not known.
            text: what was done, in words.
        """
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, text=printable(text))
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LINE_EVERY_S
            tell(f"{self._title}: {text}" + (f", {100 * done // total} %" if total else ""))


def tell(line: str) -> None:
    """Print a line for the person."""
    print(printable(line), file=sys.stderr, flush=True)


def counted(count: int, what: str) -> str:
    """Write a number of things.

    >>> counted(1, "point"), counted(12345, "point")
    ('1 point', '12,345 points')
    """
    return f"{count:,} {what}" + ("" if count == 1 else "s")
