"""Faults of DynamoDB to inject: refusals, lost answers, unprocessed items, and a process that ends between calls."""

import contextlib
import json
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ReadTimeoutError
from moto.core.models import botocore_stubber

from chalicelib.store.models import SegmentModel


def client():
    """Return the DynamoDB client that the app uses."""
    return SegmentModel.shared().client


@contextlib.contextmanager
def hook(event, handler, first=False):
    """Register a botocore handler for the duration of the block."""
    events = client().meta.events
    (events.register_first if first else events.register)(event, handler)
    try:
        yield
    finally:
        events.unregister(event, handler)


def count_hooks():
    """Return the number of handlers on the client. If a test ends with more, it did not remove a fault."""

    def count(node):
        own = sum(map(len, node["values"] or ()))
        return own + sum(map(count, node["children"].values()))

    return count(client().meta.events._emitter._handlers._root)


def response(request, status, body):
    """Return an HTTP response, to be used instead of DynamoDB's."""

    class Raw:
        def stream(self, *_args, **_kwargs):
            yield body if isinstance(body, bytes) else json.dumps(body).encode()

    headers = {"content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "test"}
    return AWSResponse(request.url, status, headers, Raw())


@contextlib.contextmanager
def intercepted(operation, answer):
    """Answer each request of an operation with ``answer(request)`` instead of moto. If it returns None, moto answers.

    botocore calls every handler of before-send, even if an earlier one has answered, so moto is off meanwhile.
    """
    events, event = client().meta.events, f"before-send.dynamodb.{operation}"

    def first(request, **_):
        given = answer(request)
        botocore_stubber.enabled = given is None
        return given

    def last(**_):
        botocore_stubber.enabled = True

    events.register_first(event, first)
    events.register_last("before-send", last)
    try:
        yield
    finally:
        events.unregister(event, first)
        events.unregister("before-send", last)


def throttled(operation, times=10**9):
    """Refuse the first ``times`` requests of an operation as throttled."""
    left = [times]
    body = {"__type": "com.amazonaws.dynamodb#ProvisionedThroughputExceededException", "message": "slow down"}

    def refuse(request):
        left[0] -= 1
        return response(request, 400, body) if left[0] >= 0 else None

    return intercepted(operation, refuse)


def answered(operation, status, body):
    """Answer every request of an operation with this status and body."""
    return intercepted(operation, lambda request: response(request, status, body))


@contextlib.contextmanager
def refusing(operation, code, when=lambda _params: True):
    """Refuse the calls of an operation whose parameters ``when`` accepts, with an error code. Works in threads."""

    def refuse(params, **_):
        if when(params):
            raise ClientError({"Error": {"Code": code, "Message": "injected"}}, operation)

    with hook(f"before-parameter-build.dynamodb.{operation}", refuse):
        yield


@contextlib.contextmanager
def answer_lost(operation, times=1):
    """Carry out the first ``times`` calls of an operation, then time out instead of answering."""
    left = [times]

    def lose(**_):
        if left[0] > 0:
            left[0] -= 1
            raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with hook(f"after-call.dynamodb.{operation}", lose):
        yield


@contextlib.contextmanager
def unprocessed(rounds, keep=1):
    """Return all but ``keep`` items of each batch as unprocessed, for a number of rounds."""
    left = [rounds]
    held: list[tuple[str, list[Any]]] = []

    def take(params, **_):
        held.clear()
        if left[0] > 0:
            left[0] -= 1
            for table, requests in params["RequestItems"].items():
                held.append((table, requests[keep:]))
                params["RequestItems"][table] = requests[:keep] or requests[:1]

    def give(parsed, **_):
        back = {table: requests for table, requests in held if requests}
        if back:
            parsed["UnprocessedItems"] = back

    operation = "dynamodb.BatchWriteItem"
    with hook(f"before-parameter-build.{operation}", take), hook(f"after-call.{operation}", give):
        yield


class Killed(BaseException):
    """The process was killed. It is a BaseException, so that no handler of the app can catch it."""


@contextlib.contextmanager
def killed_after(operation, calls):
    """Let the first ``calls`` calls of an operation pass, and raise Killed instead of each later one."""
    left = [calls]

    def kill(**_):
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    with hook(f"before-call.dynamodb.{operation}", kill):
        yield
