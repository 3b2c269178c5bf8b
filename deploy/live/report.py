"""The report: one line a check. It holds no token, account, ARN or host name, so that anybody may read it."""

import re
from collections.abc import Callable, Sequence

from chalicelib.codec import tokens

OK, FAULT, NOTE = "ok", "fault", "note"
_HIDDEN = (
    (re.compile(r"arn:aws[^\s,;)\"'|]*"), "(ARN)"),
    (re.compile(r"(?:[\w-]+\.)+amazonaws\.com(?:\.cn)?"), "(host)"),
    (re.compile(r"(?<!\w)\d{12}(?!\w)"), "(account)"),
)


class Report:
    """Prints each line when it is known, as a row of a Markdown table.

    Args:
        write: prints a line.
        hosts: names that the report must not hold.
    """

    def __init__(self, write: Callable[[str], object], hosts: list[str]) -> None:
        self._write, self._hosts = write, hosts
        self.faults = 0

    def begin(self, title: str, facts: list[str]) -> None:
        """Print the heading, facts about what is checked, and the head of the table."""
        self._write(f"### {title}\n")
        for fact in facts:
            self._write(f"- {self._masked(fact)}")
        self._write("\n| | Check | Seen |\n|---|---|---|")

    def ok(self, check: str, seen: str) -> None:
        """Report what is as promised."""
        self._row(OK, check, seen)

    def note(self, check: str, seen: str) -> None:
        """Report what is neither right nor wrong."""
        self._row(NOTE, check, seen)

    def fault(self, check: str, seen: str) -> None:
        """Report what is not as promised."""
        self.faults += 1
        self._row(FAULT, check, seen)

    def judge(self, check: str, seen: str, faults: Sequence[str]) -> None:
        """Report a fault if there are any, otherwise that all is as promised."""
        if faults:
            self.fault(check, "; ".join([seen, *faults]))
        else:
            self.ok(check, seen)

    def _row(self, kind: str, check: str, seen: str) -> None:
        cell = " ".join(self._masked(seen).split()).replace("|", "\\|")
        self._write(f"| {kind} | {check} | {cell} |")

    def _masked(self, text: str) -> str:
        text = tokens.masked(text)
        for host in self._hosts:
            text = text.replace(host, "(host)")
        for pattern, instead in _HIDDEN:
            text = pattern.sub(instead, text)
        return text


def masked_account(account: str) -> str:
    """Return an account with only its last four digits."""
    return f"…{account[-4:]}"


def shape(text: str) -> str:
    """Return what a text looks like, without what it says.

    >>> shape("AROA12:me@x")
    '11 characters: a…9…:a…@a…'
    """
    if not text:
        return "empty"
    if re.fullmatch(r"[0-9a-f]{24,}", text):
        return f"{len(text)} hex digits"
    return f"{len(text)} characters: " + re.sub(r"\d+", "9…", re.sub(r"[^\W\d_]+", "a…", text))
