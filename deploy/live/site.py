"""What every check works with, and what it returns."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from deploy import spec
from deploy.live.api import Api
from deploy.live.letters import Letter, Letters, payload_of
from deploy.live.patience import Patience
from deploy.live.temporary import Temporary, Visitor
from deploy.parts import Cloud

SHARED_TOPIC = spec.SHARED_TOPIC
_LATE_S, _DUE_S = 6.0, 20.0
"""How long to wait for dead letters at the end: of messages that were on their way, and of one that must come."""


class Finding(NamedTuple):
    """What a check has seen, and what of it is not as promised."""

    seen: str
    faults: Sequence[str] = ()
    is_note: bool = False
    """Whether it is worth knowing, but neither right nor wrong."""


def nonce() -> str:
    """Return a text that nobody else sends: ten hex digits."""
    return secrets.token_hex(5)


@dataclass
class Site:
    """A deployed stage, and the visitors that the checks made in it."""

    cloud: Cloud
    api: Api
    patience: Patience
    temporary: Temporary
    mqtt: tuple[str, int] | None
    """Host and port of the MQTT endpoint; None: the stage has none."""
    free: Visitor
    """A profile of the price plan ``free``."""
    unlimited: Visitor
    """A profile of the price plan ``unlimited``."""
    device: Visitor
    """A device of the profile ``unlimited``."""
    run: str = field(default_factory=nonce)
    """The client ids of this run hold this text."""
    are_letters_due: bool = False
    """Whether a dead letter will come that no check has found yet."""

    @cached_property
    def letters(self) -> Letters:
        """The queue of dead letters."""
        return Letters(self.cloud)

    def point(self, variable: str) -> Any:
        """Return the device's point of a variable, or None. Raises Refused: the API does not answer."""
        points = self.api.ask("GET", f"/data?variables={variable}&qty=1", self.device.token).result
        return points[0] if points else None

    def client_id(self) -> str:
        """Return a client id that nobody else uses."""
        return f"decant-live-{self.run}-{nonce()}"

    def letter(self, text: str) -> Letter | None:
        """Return the dead letter whose payload holds a text, and remove it. None: there is none."""
        return self.letters.take(lambda letter: text.encode() in payload_of(letter))

    def remove_letters(self) -> None:
        """Remove the dead letters of this run that no check has removed.

        A check may have been interrupted, and a message that comes after the device was removed is a dead letter too.
        """

        def look() -> None:
            while self.letters.take(self._is_ours):
                pass

        within_s = _DUE_S if self.are_letters_due else _LATE_S
        self.patience.until(look, within_s, "dead letters that come late")

    def _is_ours(self, letter: Letter) -> bool:
        return self.run in str(letter.get("clientid")) or f"device/{self.device.id}/" in str(letter.get("topic"))


Check = Callable[[Site], Finding]
