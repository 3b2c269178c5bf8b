"""Checks every AWS call of a function against the function's policy."""

import contextlib
import re
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from deploy import spec
from deploy.names import Names

ROOT = Path(__file__).parents[2]
PROGRAM = ("app.py", "chalicelib", "deploy", "embedded")
"""Where the program's own source is, as against the tests' and the libraries'."""
RECORDED: set[tuple[str, str, str]] = set()
"""Every (function, action, resource) that was recorded."""
FORBIDDEN: "list[Violation]" = []
"""Every violation: a call that the policy of its function does not allow."""
OF_S3 = {
    "AbortMultipartUpload": "AbortMultipartUpload", "CompleteMultipartUpload": "PutObject", "CreateMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject", "HeadObject": "GetObject", "UploadPart": "PutObject",
}  # fmt: skip
"""The action that a call of S3 needs, if it is not the call's own name."""
PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
"""The action that each part of a transaction needs."""


class Violation(NamedTuple):
    """A call that a function's policy does not allow."""

    function: str
    action: str
    resource: str
    place: str

    def __str__(self):
        return f"{self.function}: {self.action} on {self.resource}, at {self.place}"


class _Here(threading.local):
    functions: tuple[str, ...] = ()
    """The functions that are running in this thread, the innermost last."""


_here = _Here()
_start = threading.Thread.start


def _start_for_the_same(thread):
    """Start a thread, and hold the functions responsible for it that are running where it is started."""
    functions, run = _here.functions, thread.run

    def run_for_them():
        _here.functions = functions
        run()

    if functions:
        thread.run = run_for_them
    _start(thread)


_thread: Any = threading.Thread
_thread.start = _start_for_the_same


@contextlib.contextmanager
def running(function):
    """Hold a function responsible for every AWS call in the block."""
    _here.functions = (*_here.functions, function)
    try:
        yield
    finally:
        _here.functions = _here.functions[:-1]


def allowed(function):
    """Return the (action, resource) pairs of a function's policy; a resource is the last part of its ARN."""
    return {
        (action, statement["Resource"].rpartition(":")[2].removeprefix("table/").removeprefix("parameter"))
        for statement in spec.policy(function, Names("dev"))["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def record(params, model, **_):
    """Record an AWS call of a function, and a violation if the function's policy does not allow the call.

    It is a botocore handler of before-parameter-build. conftest registers it for all clients.
    """
    if not _here.functions or model.name == "GetCallerIdentity":  # which needs no permission
        return
    service, function = model.service_model.service_name, _here.functions[-1]
    if model.name == "TransactWriteItems":
        parts = [(PARTS[kind], what["TableName"]) for item in params["TransactItems"] for kind, what in item.items()]
    elif model.name == "BatchWriteItem":
        parts = [(model.name, table) for table in params["RequestItems"]]
    elif service == "apigateway":  # its actions are methods of HTTP, and its resources are paths
        path = re.sub(r"\{\w+\}", "*", model.http["requestUri"].partition("?")[0])
        parts = [(model.http["method"], path)]
    elif service == "s3":
        parts = _of_s3(params, model)
    elif service == "lambda":
        parts = [(f"{model.name}Function", params["FunctionName"])]
    else:
        parts = [(model.name, _resource(service, params))]
        if service == "iot-data" and params.get("retain"):
            parts.append(("RetainPublish", parts[0][1]))
    service = service.removesuffix("-data")
    for operation, name in parts:
        action = f"{service}:{operation}"
        resource = re.sub(r"(?<=decant)([-/])(?!dev\b)", r"\1dev\1", name)
        RECORDED.add((function, action, resource))
        if (action, resource) not in allowed(function):
            FORBIDDEN.append(Violation(function, action, resource, _place()))


def _of_s3(params, model):
    """Return the actions of a call of S3 with their resources: the bucket, or what is in it."""
    bucket = re.sub(r"-\d{12}-.*", "-*", params["Bucket"])
    if model.name == "ListObjectsV2":
        return [("ListBucket", bucket)]
    parts = [(OF_S3.get(model.name, model.name), f"{bucket}/*")]
    if model.name == "HeadObject":  # else S3 answers 403 if there is no such file
        parts.append(("ListBucket", bucket))
    return parts


def take_violations():
    """Clear the violations, and return them as text with one a line. The text is empty if there are none."""
    text = "\n".join(map(str, FORBIDDEN))
    FORBIDDEN.clear()
    return text


def _resource(service, params):
    """Return the resource of a call, as policies name it."""
    if service == "iot-data":
        return "topic/device/*" if params.get("topic", "").startswith("device/") else "client/*"
    if service == "ses":
        return "identity/*"
    if service == "sns":
        return params["TopicArn"].rpartition(":")[2]
    if service == "sqs":
        return (params.get("QueueName") or params["QueueUrl"]).rpartition("/")[2]
    return params.get("TableName") or params["Name"]


def _place():
    """Return file and line of the innermost frame in the program; outside of it, in the tests."""
    lines: dict[str, str] = {}
    for frame, line in traceback.walk_stack(sys._getframe()):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path != Path(__file__):
            name = path.relative_to(ROOT)
            lines.setdefault(name.parts[0], f"{name}:{line}")
    return next((lines[part] for part in lines if part in PROGRAM), lines.get("tests", "an unknown place"))
