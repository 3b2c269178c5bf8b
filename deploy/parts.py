"""The parts of a deployment: each knows how to look at itself, be made, mended and removed.

``look`` returns what is there in the same shape as ``wanted``, or None. That is all that up, check, diff and down need.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from deploy import spec
from deploy.names import Names

State = dict[str, Any]
_ABSENT = (
    "ResourceNotFoundException",
    "ParameterNotFound",
    "NotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "NoSuchEntity",
    "UnauthorizedException",  # IoT says this of a rule that is not there
)


@dataclass(frozen=True)
class Part:
    """One thing in AWS."""

    kind: str
    name: str
    wanted: State
    look: Callable[[], State | None]
    make: Callable[[], None]
    mend: Callable[[State], None]
    drop: Callable[[], None] | None
    """None where it goes with something else."""
    holds_data: bool = False
    """Whether it is kept when the deployment goes."""
    is_whole: bool = False
    """Whether what is there and not wanted is wrong too."""

    def difference(self) -> str | None:
        """Say what is not as wanted, or return None."""
        actual = self.look()
        return "missing" if actual is None else "; ".join(self._differences(actual)) or None

    def _differences(self, actual: State) -> list[str]:
        names = {**self.wanted, **actual} if self.is_whole else self.wanted
        return [
            f"{name}: {actual.get(name)} → {self.wanted.get(name)}"
            for name in names
            if actual.get(name) != self.wanted.get(name)
        ]

    def ensure(self) -> str:
        """Make it if it is not there, mend what differs; say what was done."""
        actual = self.look()
        if actual is None:
            self.make()
            return "created"
        if self._differences(actual):
            self.mend(actual)
            return "repaired"
        return "unchanged"


@dataclass
class Cloud:
    """An account and region, as boto3 sees them, and the stage that is deployed there."""

    session: Any
    stage: str
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return the one client of a service."""
        if service not in self.clients:
            self.clients[service] = self.session.client(service)
        return self.clients[service]

    @property
    def names(self) -> Names:
        """The names of the stage's parts."""
        return Names(self.stage)

    @property
    def region(self) -> str:
        """Such as eu-central-1."""
        return str(self.session.region_name)

    @cached_property
    def account(self) -> str:
        """The twelve digits."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def queue_url(self, name: str) -> str:
        """Return the address of a queue, whether it is there or not."""
        answer = absent_is_none(lambda: dict(self.client("sqs").get_queue_url(QueueName=name)))
        return str(answer["QueueUrl"]) if answer else f"https://sqs.{self.region}.amazonaws.com/{self.account}/{name}"

    def queue_arn(self, name: str) -> str:
        """Return the ARN of a queue."""
        return f"arn:aws:sqs:{self.region}:{self.account}:{name}"

    def role_arn(self, name: str) -> str:
        """Return the ARN of a role."""
        return f"arn:aws:iam::{self.account}:role/{name}"

    def function_arn(self, key: str) -> str:
        """Return the ARN of a function of the spec."""
        name = spec.FUNCTIONS[key].full_name(self.stage)
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"


def absent_is_none(call: Callable[[], State]) -> State | None:
    """Call, and return None when AWS says that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise
