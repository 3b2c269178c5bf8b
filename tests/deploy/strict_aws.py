"""What AWS documents and moto does not do: answers of "not yet", rates of calls, and waits of days.

A WSGI layer in front of moto. Its clock stands still and moves only when somebody sleeps (tests.deploy.quick_sleep) or a
test says so, so nothing waits for real. It knows the operation of each request, so a test can also name errors that AWS
is to answer: ``{"CreateTopicRule": ["InternalException", 2]}``.
"""

import collections
import copy
import datetime
import functools
import io
import json
import re
import urllib.parse

import botocore.session

DAY_S = 86_400
GAPS_S = {"UpdateUsagePlan": 20, "DeleteRestApi": 30, "CreateDeployment": 5}
"""The seconds that API Gateway wants between two calls."""
KEYS_A_SECOND = 5
"""How often CreateApiKey, and how often DeleteApiKey."""
ROLE_IS_KNOWN_S = 10
BACKUPS_START_S = 30
TABLE_UPDATES_S = 5
QUEUE_NAME_RESTS_S = 60
EXPIRY_RESTS_S = 3_600
ENDPOINT_RESTS_S = 7 * DAY_S
MAPPING_DELETES_S = 20

SIGNED_AS = {"monitoring": "cloudwatch"}
"""botocore's names of services whose requests are signed under another one."""


class Refused(Exception):
    """An error that AWS answers."""

    def __init__(self, code, text, status=400):
        super().__init__(code, text, status)
        self.code, self.text, self.status = code, text, status


class Strict:
    """The clock of an account, what was called, and what AWS would refuse."""

    def __init__(self):
        self.reset()

    def reset(self, faults=None):
        """Start with a new account."""
        self.now_s, self.slept_s = 0.0, 0.0
        self.faults = {operation: list(fault) for operation, fault in (faults or {}).items()}
        self.calls, self.signers, self.last = [], set(), {}
        self.keys = collections.Counter()
        self.snapshots = []

    def since(self, *event):
        """Return the seconds since something happened, or infinity. Does not note that it happens."""
        return round(self.now_s - self.last[event], 6) if event in self.last else float("inf")

    def note(self, *event):
        """Note that something happens now."""
        self.last[event] = self.now_s

    def check(self, operation, sent):
        """Refuse a call if AWS would. Raises Refused."""
        left = self.faults.get(operation)
        if left and left[1] > 0:
            left[1] -= 1
            raise Refused(left[0], left[2] if len(left) > 2 else "The stand-in was told to answer this")
        if self.since(operation) < GAPS_S.get(operation, 0):
            raise Refused("TooManyRequestsException", "Too Many Requests", 429)
        check = getattr(self, f"check_{operation}", None)
        if check is not None:
            check(sent)
        if operation in GAPS_S:
            self.note(operation)

    def check_CreateApiKey(self, _, operation="CreateApiKey"):
        self.keys[operation, int(self.now_s)] += 1
        if self.keys[operation, int(self.now_s)] > KEYS_A_SECOND:
            raise Refused("TooManyRequestsException", "Too Many Requests", 429)

    def check_DeleteApiKey(self, sent):
        self.check_CreateApiKey(sent, "DeleteApiKey")

    def check_CreateRole(self, sent):
        self.note("role", sent["RoleName"])

    def check_CreateTopicRule(self, sent):
        arn = sent["errorAction"]["sqs"]["roleArn"]
        if self.since("role", arn.rpartition("/")[2]) < ROLE_IS_KNOWN_S:
            raise Refused(
                "InvalidRequestException", f"iot.amazonaws.com is unable to assume role (sts:AssumeRole) {arn}"
            )

    check_ReplaceTopicRule = check_CreateTopicRule

    def check_CreateTable(self, sent):
        self.note("table", sent["TableName"])

    def check_UpdateContinuousBackups(self, sent):
        if self.since("table", sent["TableName"]) < BACKUPS_START_S:
            raise Refused(
                "ContinuousBackupsUnavailableException",
                "Backups are being enabled for the table: please retry later",
            )

    def check_UpdateTable(self, sent):
        self._check_busy(sent)
        self.note("update", sent["TableName"])

    def check_DeleteTable(self, sent):
        self._check_busy(sent)

    def check_UpdateTimeToLive(self, sent):
        self._check_busy(sent)
        if self.since("expiry", sent["TableName"]) < EXPIRY_RESTS_S:
            raise Refused(
                "ValidationException", "Time to live has been modified multiple times within a fixed interval"
            )
        self.note("expiry", sent["TableName"])

    def _check_busy(self, sent):
        if self.since("update", sent["TableName"]) < TABLE_UPDATES_S:
            raise Refused(
                "ResourceInUseException", f"Attempt to change a resource which is still in use: {sent['TableName']}"
            )

    def check_DeleteQueue(self, sent):
        self.note("queue", sent["QueueUrl"].rpartition("/")[2])

    def check_CreateQueue(self, sent):
        if self.since("queue", sent["QueueName"]) < QUEUE_NAME_RESTS_S:
            raise Refused(
                "AWS.SimpleQueueService.QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name",
            )

    def check_UpdateDomainConfiguration(self, sent):
        assert "removeAuthorizerConfig" not in sent
        if "domainConfigurationStatus" in sent:
            self.note("endpoint", sent["domainConfigurationName"], sent["domainConfigurationStatus"])

    def check_DeleteDomainConfiguration(self, sent):
        if self.since("endpoint", sent["domainConfigurationName"], "DISABLED") < ENDPOINT_RESTS_S:
            raise Refused(
                "InvalidRequestException",
                "AWS managed domain configurations must be disabled for 7 days before they can be deleted",
            )

    def check_DeleteRestApi(self, sent):
        if ("api", sent["restapi_id"]) in self.last:
            raise Refused("NotFoundException", "Invalid API identifier specified", 404)
        self.note("api", sent["restapi_id"])

    def check_CreateEventSourceMapping(self, sent):
        if self.since("mapping", sent["EventSourceArn"]) < MAPPING_DELETES_S:
            raise Refused("ResourceInUseException", "The mapping is being deleted", 409)


STRICT = Strict()


@functools.cache
def _service(signed_as):
    return botocore.session.get_session().get_service_model(SIGNED_AS.get(signed_as, signed_as))


@functools.cache
def _paths(signed_as):
    """Return for each operation of a REST service its method, the pattern of its path, its query and its name."""
    service = _service(signed_as)
    found = []
    for name in service.operation_names:
        http = service.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        path, names = path.rstrip("/"), {part.partition("=")[0] for part in query.split("&") if part}
        parts = re.split(r"\{(\w+\+?)\}", path)
        pattern = "".join(_group(part) if index % 2 else re.escape(part) for index, part in enumerate(parts))
        found.append((http["method"], re.compile(pattern + "/?"), names, name))
    return sorted(found, key=lambda one: (one[1].pattern.count("(?P"), -len(one[2])))


def _group(part):
    """Return the pattern of a part of a path. One with a plus may hold slashes, such as the key of a file in S3."""
    return f"(?P<{part[:-1]}>.+)" if part.endswith("+") else f"(?P<{part}>[^/]+)"


def operation_of(environ, body):
    """Return the service, the operation and what was sent of a request to AWS; None if it is none."""
    scope = re.search(r"Credential=[^/]+/\d+/[\w-]+/([\w-]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None:
        return None
    service, path = scope[1], urllib.parse.unquote(environ["PATH_INFO"])
    if "HTTP_X_AMZ_TARGET" in environ:
        return service, environ["HTTP_X_AMZ_TARGET"].rpartition(".")[2], json.loads(body or b"{}")
    if body.startswith(b"Action=") or b"&Action=" in body:
        sent = dict(urllib.parse.parse_qsl(body.decode()))
        return service, sent["Action"], sent
    if "/operation/" in path:
        return service, path.rpartition("/")[2], {}
    asked = {name for name, _ in urllib.parse.parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)}
    for method, pattern, names, name in _paths(service):
        found = pattern.fullmatch(path)
        if method == environ["REQUEST_METHOD"] and found and names <= asked:
            sent = json.loads(body) if body[:1] == b"{" else {}
            return service, name, {**sent, **found.groupdict()}
    raise AssertionError((service, environ["REQUEST_METHOD"], path))


def layer(application):
    """Return a WSGI application that asks STRICT before the stand-in answers."""

    def answer(environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = io.BytesIO(body)
        if environ["PATH_INFO"].startswith("/strict/"):
            return _control(environ["PATH_INFO"].removeprefix("/strict/"), json.loads(body or b"{}"), start_response)
        found = operation_of(environ, body)
        if found is not None:
            service, operation, sent = found
            # The tests' own clients are boto3's; the deployer and Chalice use botocore alone.
            if "Boto3" not in environ.get("HTTP_USER_AGENT", ""):
                STRICT.calls.append((service, operation))
                STRICT.signers.add(re.search(r"Credential=([^/]+)/", environ["HTTP_AUTHORIZATION"])[1])
            try:
                STRICT.check(operation, sent)
            except Refused as error:
                return _refusal(service, error, start_response)
        return application(environ, start_response)

    return answer


def _control(command, sent, start_response):
    answer = {}
    if command == "sleep":
        STRICT.now_s += sent["seconds"]
    elif command == "fault":
        STRICT.faults.update({operation: list(fault) for operation, fault in sent.items()})
    elif command == "calls":
        answer = {"calls": STRICT.calls, "signers": sorted(STRICT.signers), "now_s": STRICT.now_s}
    elif command == "snapshot":
        STRICT.snapshots.append(take_snapshot())
        answer = {"taken_s": STRICT.snapshots[-1][0]}
    else:
        raise AssertionError(command)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def _refusal(service, error, start_response):
    if service in ("iam", "sts"):
        text = f"<ErrorResponse><Error><Code>{error.code}</Code><Message>{error.text}</Message></Error></ErrorResponse>"
    else:
        text = json.dumps({"__type": error.code, "message": error.text, "Message": error.text})
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-errortype", error.code)]
    start_response(f"{error.status} Refused", headers)
    return [text.encode()]


def take_snapshot():
    """Return the time and the items of every table."""
    from moto.dynamodb.models import dynamodb_backends

    tables = {}
    for regions in dynamodb_backends.values():
        for backend in regions.values():
            for name, table in backend.tables.items():
                tables[name] = copy.deepcopy(table.items)
    return int(datetime.datetime.now(datetime.UTC).timestamp()), tables


def items_at(name, time_s):
    """Return the items of a table at a time, from the last snapshot before it."""
    before = [tables for taken_s, tables in STRICT.snapshots if taken_s <= time_s]
    return copy.deepcopy(before[-1][name]) if before else None
