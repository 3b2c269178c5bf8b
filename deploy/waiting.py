"""Waits where AWS answers "not yet".

A part that was just made, changed or removed is not ready at once, and API Gateway takes few calls a second. AWS
documents the errors that say so. botocore repeats some of them for 15 seconds, and most of them never.
"""

from dataclasses import dataclass
from typing import Any

import botocore.session
from chalice.awsclient import TypedAWSClient

_FIRST_DELAY_S, _LONGEST_DELAY_S = 2, 15


@dataclass(frozen=True)
class _NotYet:
    """An error that goes away by itself."""

    operations: tuple[str, ...]
    """Names of calls, or the end of them. Empty: any call of ``services``."""
    codes: tuple[str, ...]
    text: str = ""
    """What the message must contain, for errors that have other causes too."""
    longest_s: int = 120
    service: str = ""


_NOT_YET = (
    _NotYet(("UpdateContinuousBackups",), ("ContinuousBackupsUnavailableException",), longest_s=900),
    _NotYet(
        ("CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive", "RestoreTableToPointInTime"),
        ("LimitExceededException",),
    ),
    _NotYet(("UpdateTable", "DeleteTable", "UpdateTimeToLive", "TagResource"), ("ResourceInUseException",)),
    _NotYet(("CreateTopicRule", "ReplaceTopicRule"), ("InvalidRequestException",), "assume role"),
    _NotYet(("TopicRule",), ("ConflictingResourceUpdateException",)),
    _NotYet(("CreateEventSourceMapping",), ("InvalidParameterValueException",), "role"),
    _NotYet(("EventSourceMapping",), ("ResourceInUseException", "ResourceConflictException"), longest_s=600),
    _NotYet(
        ("UpdateFunctionConfiguration", "UpdateFunctionCode", "FunctionConcurrency", "FunctionEventInvokeConfig"),
        ("ResourceConflictException",),
    ),
    _NotYet(("CreateQueue",), ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently")),
    _NotYet(("LogGroup", "RetentionPolicy"), ("OperationAbortedException",)),
    _NotYet((), ("TooManyRequestsException",), service="api-gateway"),
    _NotYet(("PutRolePolicy", "UpdateAssumeRolePolicy"), ("NoSuchEntity",)),
    _NotYet(("Role", "RolePolicy"), ("ConcurrentModification",)),
)


def install(session: botocore.session.Session) -> None:
    """Make the clients that a session makes from now on wait for what is not ready yet, and say so once a call."""
    session.get_component("event_emitter").register_first("needs-retry", _delay_s)


def install_in_chalice() -> None:
    """Do the same for the clients of Chalice's command line, which has its session already."""
    bare: Any = TypedAWSClient._client

    def client(self: Any, service_name: str) -> Any:
        made = bare(self, service_name)
        made.meta.events.register_first("needs-retry", _delay_s, unique_id=__name__)  # once a client
        return made

    chalice_client: Any = TypedAWSClient
    chalice_client._client = client


def _delay_s(response: Any, operation: Any, request_dict: dict[str, Any], **_: Any) -> float | None:
    """Return how long botocore is to wait before it repeats a call; None if the answer is final."""
    error = response[1].get("Error", {}) if response else {}
    found = _find(operation.service_model.service_id.hyphenize(), operation.name, error)
    if found is None:
        return None
    context = request_dict["context"]
    waited_s: float = context.setdefault("waited_s", 0)
    if waited_s >= found.longest_s:
        return None
    if not waited_s:
        print(f"waiting     {operation.name}, up to {found.longest_s} s: {error.get('Message', '')}", flush=True)
    delay_s = min(_LONGEST_DELAY_S, max(_FIRST_DELAY_S, waited_s))
    context["waited_s"] = waited_s + delay_s
    return delay_s


def _find(service: str, operation: str, error: dict[str, Any]) -> _NotYet | None:
    for known in _NOT_YET:
        is_call = service == known.service if not known.operations else operation.endswith(known.operations)
        if is_call and error.get("Code") in known.codes and known.text in error.get("Message", ""):
            return known
    return None
