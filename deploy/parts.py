"""What a part of a deployment is, and the account that it is in.

The functions of a part look at it, make it, repair it and remove it. up, check, diff and down need nothing else.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import botocore.session
from botocore.exceptions import ClientError

from deploy import spec
from deploy.names import MARK, Names

State = dict[str, Any]
_ABSENT = (
    "ResourceNotFoundException",
    "ParameterNotFound",
    "NotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "NoSuchEntity",
    "404",  # S3 says this of a bucket that does not exist, as the answer to HEAD has no body
    "NoSuchBucket",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchLifecycleConfiguration",
    "NoSuchCORSConfiguration",
    "UnauthorizedException",  # IoT Core says this if a rule does not exist
)


class RefusedError(Exception):
    """A command cannot begin or go on. The text says why, and what to do."""


class NotYetError(Exception):
    """AWS allows a change only later, in hours or days. It is no failure: the rest is done, and the text says when."""


@dataclass(frozen=True)
class Part:
    """One thing in AWS: what it should be, and how to look at it, make it, repair it and remove it."""

    kind: str
    name: str
    wanted: State
    """The values that ``up`` ensures, by name."""
    look: Callable[[], State | None]
    """Returns the actual values by the names of ``wanted``, or None if the part does not exist."""
    make: Callable[[], None]
    mend: Callable[[State], None]
    """Takes what ``look`` returned and changes it to ``wanted``. Raises NotYetError if AWS allows it only later, and
    RefusedError if AWS never does."""
    drop: Callable[[], None] | None
    """None if AWS removes it together with another part. Raises NotYetError as ``mend`` does."""
    holds_data: bool = False
    """Whether ``down`` keeps it unless ``--data`` is given."""
    is_whole: bool = False
    """Whether a value that is not wanted is a fault too."""

    def difference(self) -> str | None:
        """Return what differs from ``wanted``, "missing" if the part does not exist, or None if nothing differs."""
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
        """Make the part if it does not exist, or repair it if it differs. Return created, repaired or unchanged.

        Raises:
            NotYetError: AWS allows the change only later.
        """
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
    """An AWS account and region, and the stage that is deployed there."""

    session: botocore.session.Session
    stage: str
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return the botocore client of a service. Makes it once."""
        if service not in self.clients:
            self.clients[service] = self.session.create_client(service)
        return self.clients[service]

    @cached_property
    def names(self) -> Names:
        """The names of the stage's parts. Costs a call the first time: AWS knows which tables the stage uses."""
        return self.used_names()

    def used_names(self) -> Names:
        """Return the names with the tables that the stage uses now. Costs a call.

        Raises:
            RefusedError: the parameter that names the tables holds something else.
        """
        parameter = Names(self.stage).tables_parameter
        found = absent_is_none(lambda: dict(self.client("ssm").get_parameter(Name=parameter)))
        restored = found["Parameter"]["Value"] if found else ""
        if restored and not re.fullmatch(MARK, restored):
            raise RefusedError(f"The parameter {parameter} holds {restored!r}, not a mark such as r20261126T070000Z")
        return Names(self.stage, restored)

    def using(self, names: Names) -> "Cloud":
        """Return the same account and stage with other tables."""
        other = replace(self)
        other.__dict__["names"] = names
        return other

    @cached_property
    def region(self) -> str:
        """The region, such as eu-central-1."""
        return str(self.session.get_config_variable("region"))

    @cached_property
    def partition(self) -> str:
        """The partition of the region: aws, or aws-cn or aws-us-gov, which are separate clouds."""
        return str(self.session.get_partition_for_region(self.region))

    @cached_property
    def account(self) -> str:
        """The twelve digits of the account. Costs one call the first time."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def queue_url(self, name: str) -> str:
        """Return the URL of a queue, or if it does not exist the URL that it will have. Costs one call."""
        client = self.client("sqs")
        answer = absent_is_none(lambda: dict(client.get_queue_url(QueueName=name)))
        return str(answer["QueueUrl"]) if answer else f"{client.meta.endpoint_url}/{self.account}/{name}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of a service in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def role_arn(self, name: str) -> str:
        """Return the ARN of a role. IAM has no regions."""
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def function_arn(self, key: str) -> str:
        """Return the ARN of a function of the spec."""
        return self.arn("lambda", f"function:{spec.FUNCTIONS[key].full_name(self.stage)}")


def absent_is_none(call: Callable[[], State]) -> State | None:
    """Make a call. Return None if AWS answers that the thing does not exist, and raise any other error."""
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise
