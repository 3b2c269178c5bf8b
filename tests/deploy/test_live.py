"""``check --live`` against a stand-in that behaves as AWS's documentation says, and against one that does not."""

import json
import re

import botocore.session
import pytest
from botocore.exceptions import ClientError

from chalicelib import routes
from chalicelib.host import clock, dead_letters, mqtt
from chalicelib.http import site
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import erasures
from chalicelib.services.usage import plans
from chalicelib.store.models import EntityModel, SegmentModel
from deploy import chalice, commands, spec, throttles
from deploy.__main__ import main
from deploy.live import broker, function_checks, gateway_checks, mqtt_checks, patience, temporary
from deploy.live import run as live
from deploy.live.api import Api
from deploy.live.patience import Patience
from deploy.names import Names
from tests.kit import certificates, iot_core
from tests.kit.api_gateway import API_ID, STAGE, ApiGateway
from tests.kit.iot_core import IotCore
from tests.kit.site import SCRIPT, built

__all__ = ["built"]

ACCOUNT = "123456789012"
CHECKS = [
    "Status", "Point over HTTPS", "Body in gzip", "Console", "401, no token", "401, bad token", "404, unknown route", "413, body too large", "Preflight",
    "429, plan free", "Plan unlimited", "Exception of the authorizer", "Point over MQTT", "MQTT, bad token",
    "MQTT, the API's own message", "MQTT, principal()", "MQTT, will", "MQTT, RETAIN",
    *(f"Function {key}" for key in spec.FUNCTIONS), "Removal",
]  # fmt: skip


ALL = {module: module.CHECKS for module in (gateway_checks, mqtt_checks, function_checks)}


SESSION = botocore.session.get_session()
"""One for all tests: it keeps the descriptions of services, which take a second to load."""


class Time:
    """Passes only while somebody sleeps. Meanwhile IoT Core works."""

    def __init__(self, core):
        self.core, self.now_s = core, 0.0

    def sleep(self, seconds):
        self.now_s += seconds
        self.core.settle()


class Cloud:
    """The account on moto, with what moto lacks."""

    stage, region, account = "dev", "us-east-1", ACCOUNT
    names = Names("dev")

    def __init__(self):
        self.session, self.clients = SESSION, {}
        self.metrics = {"SampleCount": 200.0, "Sum": 2_500.0, "p50": 9.0, "p90": 20.0, "Maximum": 812.0}
        self.failures = {"Errors": 0.0, "Throttles": 0.0}

    def client(self, service):
        if service not in self.clients:
            made = self.clients[service] = self.session.create_client(service)
            made.meta.events.register("before-call.cloudwatch.GetMetricData", self._metric_data)
            made.meta.events.register("before-call.lambda.GetFunctionConfiguration", self._configuration)
        return self.clients[service]

    def _configuration(self, **_):
        return Http, {"MemorySize": 512, "Architectures": ["x86_64"], "Runtime": "python3.12"}

    def _metric_data(self, **_):
        stats = {"calls": "SampleCount", "total": "Sum", "p50": "p50", "p90": "p90", "max": "Maximum"}
        values = {name: self.metrics[statistic] for name, statistic in stats.items()}
        values |= {name.lower(): value for name, value in self.failures.items()}
        return Http, {"MetricDataResults": [{"Id": name, "Values": [value]} for name, value in values.items()]}


class Http:
    status_code = 200


class Stage:
    """A deployed stage: API Gateway and IoT Core in front of the functions."""

    def __init__(self, capsys, monkeypatch, context):
        self.capsys, self.monkeypatch, self.cloud = capsys, monkeypatch, Cloud()
        self.core = IotCore(context)
        self.time = Time(self.core)
        gateway = self.cloud.client("apigateway")
        self.gateway = ApiGateway(gateway, lambda: self.time.now_s, context)
        for plan in plans.load().values():
            limits = throttles.plan_throttles(plan, routes.ALL)
            stage = {"apiId": API_ID, "stage": STAGE, **({"throttle": limits} if limits else {})}
            gateway.create_usage_plan(name=self.cloud.names.usage_plan(plan.name), apiStages=[stage])
        self.sqs = self.cloud.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=self.cloud.names.dead_letters)["QueueUrl"]

    def check(self, *only, **options):
        """Run the command, perhaps only some checks. Return its exit status, and kind and text of each row by name."""
        for module in (gateway_checks, mqtt_checks, function_checks):
            checks = ALL[module] if not only else [check for check in ALL[module] if check[0] in only]
            self.monkeypatch.setattr(module, "CHECKS", checks)
        waits = Patience(lambda: self.time.now_s, self.time.sleep)
        options = {"url": self.gateway.url, "mqtt": self.core.address} | options
        code = live.run(self.cloud, patience=waits, **options)
        self.printed = self.capsys.readouterr()
        rows = re.findall(r"^\| (ok|fault|note) \| (.+?) \| (.+) \|$", self.printed.out, re.MULTILINE)
        return code, {name: (kind, seen) for kind, name, seen in rows}

    def letters(self):
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(one["Body"]) for one in found.get("Messages", [])]

    def fail(self, method, path, was, **changes):
        """Let API Gateway answer a request wrongly: with another status or body, or with headers that None removes.

        ``was`` is the status of the answers to change.
        """

        def change(asked, asked_path, answer):
            if (asked, asked_path.partition("?")[0], answer["statusCode"]) != (method, path, was):
                return answer
            headers = {name.lower(): value for name, value in answer["headers"].items()} | changes.get("headers", {})
            kept = {name: value for name, value in headers.items() if value is not None}
            return answer | changes | {"headers": kept}

        self.gateway.change = change

    def left(self):
        """Return what the run left, after the housekeeping of the next hour."""
        self.core.settle()
        later_us = clock.now_us() + 2 * erasures.SETTLED_S * 1_000_000
        with self.monkeypatch.context() as moved:
            moved.setattr(clock, "now_us", lambda: later_us)
            erasures.resume()
        rows = [row.owner for row in EntityModel.scan() if row.expires_at is None]
        segments = [row.device for row in SegmentModel.scan()]
        keys = self.cloud.client("apigateway").get_api_keys()["items"]
        return rows + segments + keys + self.letters() + list(self.core.retained)

    def close(self):
        self.gateway.close()
        self.core.close()
        gateway = self.cloud.client("apigateway")
        for plan in gateway.get_usage_plans()["items"]:
            gateway.delete_usage_plan(usagePlanId=plan["id"])
        for key in gateway.get_api_keys()["items"]:
            gateway.delete_api_key(apiKey=key["id"])
        self.sqs.delete_queue(QueueUrl=self.queue)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def stage(dynamo, certificate, configure, monkeypatch, capsys, built):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.setattr(live, "use_deployed_store", lambda _cloud: None)
    configure(dead_letters_queue=Names("dev").dead_letters)
    dead_letters.use(None)
    made = Stage(capsys, monkeypatch, certificates.server_context(certificate))
    monkeypatch.setattr(chalice, "deployed", lambda _stage: {"rest_api": {"rest_api_url": made.gateway.url}})
    mqtt.use(made.core)
    yield made
    made.close()
    dead_letters.use(None)


def test_stage_that_is_as_promised(stage):
    code, rows = stage.check()
    assert {name: kind for name, (kind, _) in rows.items()} == dict.fromkeys(CHECKS, "ok") and code == 0
    assert stage.left() == []
    assert rows["429, plan free"][1].startswith("50 × 200, 10 × 429 in ") and rows["Plan unlimited"][1].startswith(
        "120 × 200 in "
    )
    assert rows["Exception of the authorizer"][1].startswith("503 ")
    assert rows["MQTT, principal()"][1].startswith("the id of the device")
    assert rows["Function counters"][1] == (
        "512 MB, x86_64, python3.12; 200 calls in 3 hours: average 12.5, p50 9.0, p90 20.0, max 812 ms; 0 errors, 0 throttles"
    )


def test_report_tells_what_is_checked_and_no_secret(stage):
    stage.fail(
        "GET",
        "/info",
        200,
        statusCode=500,
        body=f"arn:aws:iam::{ACCOUNT}:user/me localhost 0b5c9a3e-0000-4000-8000-000000000000",
    )
    stage.check("Status")
    told = stage.printed.out
    assert "- account …9012, region us-east-1, stage dev, the address that `--url` names" in told
    assert re.search(r"^- Decant \d+\.\d+\.\d+, Python 3\.\d+\.\d+, botocore ", told, re.MULTILINE)
    assert "| fault | Preparation | Refused: 500 (ARN) (host) (a token) |" in told
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-|localhost|arn:|123456789012", told)


@pytest.mark.parametrize(
    ("check", "method", "path", "was", "changes", "told"),
    [
        ("401, bad token", "GET", "/data", 401, {"statusCode": 403}, "expected 401"),
        ("401, no token", "GET", "/data", 401, {"body": '{"message":"Unauthorized"}'}, 'body: {"message":"Unauthorized"}'),
        ("401, no token", "GET", "/data", 401, {"body": "<html>"}, "body: <html>"),
        ("401, no token", "GET", "/data", 401, {"headers": {"x-request-id": None}}, "no X-Request-Id"),
        ("401, no token", "GET", "/data", 401, {"headers": {"access-control-allow-origin": None}}, "no Access-Control-Allow-Origin"),
        ("401, no token", "GET", "/data", 401, {"headers": {"content-type": "text/html"}}, "Content-Type: text/html"),
        ("413, body too large", "POST", "/data", 413, {"statusCode": 400}, "expected 413"),
        ("Preflight", "OPTIONS", "/data", 200, {"statusCode": 403}, "expected 200"),
        ("Preflight", "OPTIONS", "/data", 200, {"headers": {"access-control-max-age": "5"}}, "Access-Control-Max-Age: 5"),
        ("Status", "GET", "/status", 200, {"body": '{"status":true,"result":{"version":"0.0.1","health":"read-only"}}'}, "run `up`"),
        ("Point over HTTPS", "GET", "/data", 200, {"body": '{"status":true,"result":[]}'}, "the point was not read back"),
        ("Point over HTTPS", "POST", "/data", 200, {"statusCode": 503, "body": "{}"}, "Refused: 503 {}"),
        ("Body in gzip", "GET", "/data", 200, {"body": '{"status":true,"result":[]}'}, "the point was not read back"),
        ("Body in gzip", "POST", "/data", 200, {"statusCode": 415, "body": "{}"}, "Refused: 415 {}"),
        ("Console", "GET", "/", 303, {"statusCode": 200}, "not so: / is 303 to the console"),
        ("Console", "GET", "/console", 200, {"headers": {"content-type": "application/json"}}, "not so: the page is HTML"),
        ("Console", "GET", "/console", 200, {"headers": {"content-security-policy": None}}, "not so: the page has its policy"),
        ("Console", "GET", "/console", 200, {"body": "<!doctype html>"}, "not so: the page names a script"),
        ("Console", "GET", SCRIPT, 200, {"body": "short"}, "not so: the script is compressed"),
        ("Console", "GET", SCRIPT, 200, {"headers": {"cache-control": "no-store"}}, "not so: the script stays for a year"),
        ("Exception of the authorizer", "GET", "/info", 503, {"statusCode": 500}, "expected 503"),
        ("Exception of the authorizer", "GET", "/info", 503, {"headers": {"retry-after": None}}, "no Retry-After"),
        ("Plan unlimited", "GET", "/device", 200, {"statusCode": 429}, "expected only 200, but"),
        ("429, plan free", "GET", "/device", 429, {"headers": {"retry-after": "1"}}, "Retry-After: 1"),
        ("429, plan free", "GET", "/device", 429, {"statusCode": 200}, "200 × 200 in 0.0 s; the plan has 50 a minute; expected 429"),
    ],
)  # fmt: skip
def test_answer_that_differs_is_a_fault(stage, check, method, path, was, changes, told):
    stage.fail(method, path, was, **changes)
    code, rows = stage.check(check)
    kind, seen = rows[check]
    assert (code, kind) == (1, "fault") and told in seen
    assert rows["Removal"][0] == "ok" and stage.left() == []


def test_console_that_is_not_built_is_a_note(stage, monkeypatch, tmp_path):
    monkeypatch.setattr(site, "FOLDER", tmp_path / "nothing")
    code, rows = stage.check("Console")
    assert code == 0 and rows["Console"][0] == "note" and "python -m web.build" in rows["Console"][1]


def lose_retained(core):
    core.retained = NothingKept()


class NothingKept(dict):
    """Retained messages that are lost at once."""

    def __setitem__(self, topic, payload):
        """Keep nothing."""

    def __delitem__(self, topic):
        """Remove nothing."""


def refuse(action):
    return lambda core: core.fewer_actions.append(action)


def change(**values):
    return lambda core: [setattr(core, name, value) for name, value in values.items()]


def pass_own_messages_on(core):
    for rule in core.rules:
        rule["except"] = None


@pytest.mark.parametrize(
    ("check", "fault", "told"),
    [
        ("Point over MQTT", refuse("iot:Publish"), "the broker did not acknowledge the message; the point was not stored within 30 s"),
        ("Point over MQTT", refuse("iot:Connect"), "NotAdmitted: CONNACK: Not authorized"),
        ("Point over MQTT", change(rules=[]), "the point was not stored within 30 s"),
        ("MQTT, will", change(will_attribute="Unknown"), "refused, CONNACK: Not authorized; expected that a client may have a will"),
        ("MQTT, will", change(loses_wills=True), "connected; the connection was dropped; the point was not stored within 30 s"),
        ("MQTT, RETAIN", refuse("iot:RetainPublish"), "not acknowledged; expected that a device may publish with RETAIN"),
        ("MQTT, RETAIN", lose_retained, "acknowledged, but not delivered to a later subscription"),
        ("MQTT, the API's own message", refuse("iot:Subscribe"), "subscription refused"),
        ("MQTT, the API's own message", change(delivers=False), "not delivered; the topic rules leave it out; expected the API's message"),
        (
            "MQTT, the API's own message", pass_own_messages_on,
            "delivered on `device/<id>/data/post`; clientid() is n/a; the topic rules pass it on, and it became a dead letter",
        ),
        (
            "MQTT, the API's own message", change(own_client_id="AROAEXAMPLE:decant"),
            "clientid() is 18 characters: a…:a…; the topic rules pass it on",
        ),
        ("MQTT, principal()", change(rules=[]), "no dead letter; expected one within 45 s"),
        ("MQTT, principal()", change(name_principal=lambda *_: "0" * 24), "24 hex digits (this may ring the alarm of the dead letters once); they look like"),
    ],
)  # fmt: skip
def test_broker_that_differs_is_a_fault(stage, monkeypatch, check, fault, told):
    if "deliver" in told:  # nothing ends the wait for a message
        monkeypatch.setattr(patience, "_ANSWER_S", 3.0)
    fault(stage.core)
    code, rows = stage.check(check)
    kind, seen = rows[check]
    assert (code, kind) == (1, "fault") and told in seen
    assert rows["Removal"][0] == "ok" and stage.left() == []


@pytest.mark.parametrize(
    ("principal", "told"),
    [
        ("", "empty"),
        (None, "absent"),
        ("a" * 64, "64 hex digits"),
        ("AIDAEXAMPLE:me@x", "16 characters: a…:a…@a…"),
        ("client", "the client id"),
    ],
)
def test_principal_that_is_no_devices_id_is_a_note_about_its_shape(stage, principal, told):
    stage.core.name_principal = lambda _, connect: connect.client_id if principal == "client" else principal
    code, rows = stage.check("MQTT, principal()")
    assert code == 0 and rows["MQTT, principal()"] == (
        "note",
        f"{told} (this may ring the alarm of the dead letters once)",
    )
    assert stage.left() == []


def test_broker_that_admits_a_bad_token_is_a_fault(stage, monkeypatch):
    admitted = {"isAuthenticated": True, "principalId": "x", "policyDocuments": [json.dumps({"Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
    ]})]}  # fmt: skip
    monkeypatch.setattr(iot_core.iot_authorizer, "authorize", lambda *_: admitted)
    _, rows = stage.check("MQTT, bad token")
    assert rows["MQTT, bad token"] == ("fault", "connected; expected a refusal")


def test_dead_letters_of_others_stay(stage):
    for number in range(25):
        stage.sqs.send_message(
            QueueUrl=stage.queue, MessageBody=json.dumps({"reason": "r", "message": {"payload": "eA==", "n": number}})
        )
    stage.sqs.send_message(QueueUrl=stage.queue, MessageBody="no JSON")
    code, rows = stage.check("MQTT, principal()")
    assert (code, rows["MQTT, principal()"][0]) == (0, "ok")
    attributes = stage.sqs.get_queue_attributes(QueueUrl=stage.queue, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "26"
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_letter_that_nobody_took_as_the_check_failed_is_removed(stage, monkeypatch):
    monkeypatch.setattr(mqtt_checks, "_LETTER_S", 0)
    _, rows = stage.check("MQTT, principal()")
    assert rows["MQTT, principal()"][0] == "fault" and rows["Removal"][0] == "ok" and stage.left() == []


INTERRUPTIONS = [
    *((Api, "ask", number) for number in (1, 7, 15, 17, 22)),
    (broker.Client, "publish", 1), (broker.Client, "drop", 1), (broker.Client, "subscribe", 2),
    (temporary.Temporary, "damaged_token", 1), (profiles, "create", 1), (profiles, "create", 2),
]  # fmt: skip
BURSTS = ["429, plan free", "Plan unlimited"]


def interrupt(monkeypatch, owner, name, number, is_after):
    """Raise KeyboardInterrupt before or after a call of a function, as if somebody pressed Ctrl-C."""
    calls, original = [], getattr(owner, name)

    def interrupted(*args, **kwargs):
        calls.append(name)
        if len(calls) == number and not is_after:
            raise KeyboardInterrupt
        answer = original(*args, **kwargs)
        if len(calls) == number:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(owner, name, interrupted)
    return calls


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(("owner", "name", "number"), INTERRUPTIONS)
def test_interruption_leaves_nothing(stage, monkeypatch, owner, name, number, is_after):
    calls = interrupt(monkeypatch, owner, name, number, is_after)
    code, rows = stage.check(*(check for check in CHECKS if check not in BURSTS))
    assert (code, rows["Removal"][0]) == (130, "ok") and len(calls) >= number
    assert stage.left() == []


@pytest.mark.parametrize("check", BURSTS)
def test_interruption_of_a_burst_leaves_nothing(stage, monkeypatch, check):
    interrupt(monkeypatch, Api, "ask", 38, is_after=False)
    code, rows = stage.check(check)
    assert (code, list(rows)) == (130, ["Removal"]) and rows["Removal"][0] == "ok" and stage.left() == []


def test_what_cannot_be_removed_is_named_and_the_rest_is_removed(stage):
    stage.gateway.change = lambda method, _, answer: answer | ({"statusCode": 503} if method == "DELETE" else {})
    code, rows = stage.check("Status")
    kind, seen = rows["Removal"]
    assert (code, kind) == (1, "fault") and re.search(r"profile [0-9a-f]{24}: Refused: 503", seen)


def test_what_a_killed_run_left_is_removed_by_the_next(stage, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(temporary.Temporary, "remove", lambda _: [])
        stage.check("Status")
    assert stage.left()
    stage.check("Status")
    assert stage.left(), "another run may be using it"
    later_us = clock.now_us() + 11 * 60 * 1_000_000
    monkeypatch.setattr(clock, "now_us", lambda: later_us)
    stage.check("Status")
    assert stage.left() == []


def test_profiles_of_others_stay(stage):
    profile, _ = profiles.create(name="Default")
    stage.check("Status")
    assert [doc["id"] for doc in profiles.list_all()] == [profile]


def test_key_that_api_gateway_never_knows_is_a_fault(stage):
    stage.gateway.unknown_for = 1_000
    code, rows = stage.check()
    assert code == 1 and list(rows) == ["Preparation", "Removal"] and "503" in rows["Preparation"][1]
    assert "waiting up to 90 s for API Gateway to know the new API keys" in stage.printed.err
    assert stage.left() == []


def test_key_that_some_servers_know_later_is_waited_for(stage):
    asked = []

    def change(_method, _path, answer):
        asked.append(answer)
        return answer | {"statusCode": 401} if len(asked) < 12 and len(asked) % 4 == 0 else answer

    stage.gateway.change = change
    code, rows = stage.check("Point over HTTPS")
    assert (code, rows["Point over HTTPS"][0]) == (0, "ok") and len(asked) > 12


def test_missing_usage_plan_is_a_fault(stage):
    gateway = stage.cloud.client("apigateway")
    for plan in gateway.get_usage_plans()["items"]:
        gateway.delete_usage_plan(usagePlanId=plan["id"])
    code, rows = stage.check()
    assert code == 1 and rows["Preparation"] == ("fault", "NotFound: The usage plan decant-dev-free is missing")
    assert stage.left() == []


def test_checks_end_with_their_time(stage):
    stage.gateway.change = lambda _, path, answer: (path.startswith("/data") and stage.time.sleep(40)) or answer
    code, rows = stage.check()
    assert code == 1 and rows["MQTT, will"] == ("fault", "failed; OutOfTime: no time is left")
    assert rows["Function http"] == rows["MQTT, will"] and stage.time.now_s < 300


def test_stage_without_mqtt_is_a_note(stage):
    code, rows = stage.check("Status", mqtt=None)
    assert code == 0 and rows["MQTT"] == ("note", "not looked at: this stage has no MQTT endpoint")


def test_installation_without_paho_is_a_note(stage, monkeypatch):
    monkeypatch.setattr(live.importlib.util, "find_spec", lambda _name: None)
    code, rows = stage.check("Status", "MQTT, will")
    assert code == 0 and rows["MQTT"] == ("note", "not looked at: pip install paho-mqtt") and "MQTT, will" not in rows


def test_addresses_are_those_of_the_stage(stage, monkeypatch):
    iot = stage.cloud.client("iot")
    iot.create_domain_configuration(
        domainConfigurationName="decant-dev-mqtt", domainName="localhost", serviceType="DATA"
    )
    monkeypatch.setattr(live, "PORT", stage.core.address[1])
    try:
        code, rows = stage.check("Point over MQTT", url=None, mqtt=None)
    finally:
        iot.delete_domain_configuration(domainConfigurationName="decant-dev-mqtt")
    assert code == 0 and rows["Point over MQTT"][0] == "ok"
    assert "stage dev, API Gateway's own address" in stage.printed.out


def test_certificate_that_nobody_vouches_for_is_a_fault(stage, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    code, rows = stage.check()
    assert code == 1 and "CERTIFICATE_VERIFY_FAILED" in rows["Preparation"][1] and stage.left() == []


def test_stage_that_is_not_deployed_is_refused(stage, monkeypatch):
    monkeypatch.setattr(chalice, "deployed", lambda _stage: {})
    code, rows = stage.check(url=None)
    assert code == 1 and rows == {} and "not deployed: run `python -m deploy up --stage dev`" in stage.printed.err


def test_functions_that_failed_are_a_note(stage):
    stage.cloud.failures["Throttles"] = 3.0
    code, rows = stage.check("Function http")
    assert (code, rows["Function http"][0]) == (0, "note") and rows["Function http"][1].endswith(
        "0 errors, 3 throttles"
    )


def test_functions_without_calls_are_a_note(stage):
    stage.cloud.metrics["SampleCount"] = 0.0
    _, rows = stage.check("Function http")
    assert rows["Function http"] == ("note", "512 MB, x86_64, python3.12; no calls in 3 hours")


def test_call_that_aws_refuses_is_a_fault_and_the_other_checks_go_on(stage):
    def refuse(**_):
        error = {"Code": "AccessDenied", "Message": f"User: arn:aws:iam::{ACCOUNT}:user/me is not authorized"}
        raise ClientError({"Error": error}, "GetMetricData")

    stage.cloud.client("cloudwatch").meta.events.register_first("before-call.cloudwatch.GetMetricData", refuse)
    code, rows = stage.check("Function http", "Point over HTTPS")
    assert code == 1 and rows["Point over HTTPS"][0] == "ok"
    assert rows["Function http"] == (
        "fault",
        "failed; ClientError: An error occurred (AccessDenied) when calling the GetMetricData operation: "
        "User: (ARN) is not authorized",
    )


def test_command_passes_its_options_on(monkeypatch):
    asked = []
    monkeypatch.setattr(commands, "check", lambda _cloud: 0)
    monkeypatch.setattr(commands.live, "run", lambda cloud, **options: asked.append((cloud.stage, options)) or 1)
    assert (
        main(
            [
                "check",
                "--live",
                "--stage",
                "prod",
                "--url",
                "https://api.example.com/",
                "--mqtt",
                "mqtt.example.com:443",
            ]
        )
        == 1
    )
    assert main(["check", "--live", "--mqtt", "mqtt.example.com"]) == 1
    assert asked == [
        ("prod", {"url": "https://api.example.com/", "mqtt": ("mqtt.example.com", 443)}),
        ("dev", {"url": None, "mqtt": ("mqtt.example.com", 8883)}),
    ]


@pytest.mark.parametrize(
    "arguments", [["--url", "https://x"], ["--mqtt", "x"], ["--live", "--url", "http://x"], ["--live", "--mqtt", "x:y"]]
)
def test_command_refuses_what_it_cannot_use(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["check", *arguments])
    assert exit_.value.code == 2 and capsys.readouterr().err.startswith("usage: python -m deploy check ")
