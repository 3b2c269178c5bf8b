"""The names of a stage's parts in AWS."""

import argparse
import re
from dataclasses import dataclass

APP = "decant"
"""The first word of every name."""


@dataclass(frozen=True)
class Names:
    """The names of one stage's parts. A name that is not listed here raises AttributeError."""

    stage: str
    restored: str = ""
    """Which tables the stage uses: empty for those that ``up`` made, or the mark of those that ``restore`` made."""

    @property
    def segments(self) -> str:
        """The table of points."""
        return self._table("segments")

    @property
    def entities(self) -> str:
        """The table of everything else."""
        return self._table("entities")

    @property
    def tables_parameter(self) -> str:
        """The SSM parameter that holds ``restored``. It does not exist if that is empty."""
        return f"/{APP}/{self.stage}/tables"

    @property
    def api(self) -> str:
        """The API. CloudWatch tells APIs apart by their names only."""
        return f"{APP}-{self.stage}"

    @property
    def dead_letters(self) -> str:
        """The queue of messages that break a rule, so they cannot be stored."""
        return self._named("dead-letters")

    @property
    def failures(self) -> str:
        """The queue of messages and calls that failed, but not because of what is in them."""
        return self._named("failures")

    @property
    def alerts(self) -> str:
        """The SNS topic for quotas that are nearly used up. It need not exist."""
        return self._named("alerts")

    @property
    def keys(self) -> str:
        """The queue of profiles whose API key must be made or removed. AWS wants the ending."""
        return self._named("keys.fifo")

    @property
    def keys_failed(self) -> str:
        """The queue of the messages of ``keys`` that failed for good."""
        return self._named("keys-failed.fifo")

    @property
    def sealer(self) -> str:
        """The queue of devices whose past days are to be sealed."""
        return self._named("sealer")

    @property
    def files(self) -> str:
        """The queue of devices with a backup or restore; and how the name of the bucket of their files begins."""
        return self._named("files")

    def bucket(self, account: str, region: str) -> str:
        """Return the name of the bucket of files. The names of buckets are the same for all the world."""
        return f"{self.files}-{account}-{region}"

    @property
    def prefix(self) -> str:
        """How the names of the API keys and usage plans begin."""
        return self._named("")

    @property
    def mqtt(self) -> str:
        """The authorizer of MQTT clients, and their endpoint."""
        return self._named("mqtt")

    @property
    def rule_errors(self) -> str:
        """The role with which IoT Core writes to the queue of failures, and its one policy."""
        return self._named("rule-errors")

    @property
    def secret_parameter(self) -> str:
        """The SSM parameter that holds the secret."""
        return f"/{APP}/{self.stage}/secret"

    def usage_plan(self, plan: str) -> str:
        """Return the name of a price plan's usage plan."""
        return self._named(plan)

    def of_table(self, name: str) -> "Names | None":
        """Return the names with a table of this stage, or None if no table of this stage has the name.

        >>> Names("dev").of_table("decant-dev-segments-r20261126T070000Z")
        Names(stage='dev', restored='r20261126T070000Z')
        >>> Names("dev").of_table("decant-dev-segments"), Names("dev").of_table("decant-dev2-segments")
        (Names(stage='dev', restored=''), None)
        """
        found = re.fullmatch(rf"{APP}-{self.stage}-(?:segments|entities)(?:-({MARK}))?", name)
        return Names(self.stage, found[1] or "") if found else None

    def _table(self, part: str) -> str:
        return self._named(part) + (f"-{self.restored}" if self.restored else "")

    def _named(self, part: str) -> str:
        return f"{APP}-{self.stage}-{part}"


MARK = r"r\d{8}T\d{6}Z"
"""What ``Names.restored`` looks like, if it is not empty."""


def stage_name(text: str) -> str:
    """Return the name of a stage, for argparse.

    Names of parts are ``decant-<stage>-<part>``, so a stage with a hyphen could be taken for another stage's part.

    Raises:
        argparse.ArgumentTypeError: it is not 1 to 20 lower-case letters and digits.
    """
    if not re.fullmatch(r"[a-z0-9]{1,20}", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be 1 to 20 lower-case letters and digits")
    return text
