"""Least privilege: the policies allow every call that the functions make, and no other."""

import contextlib
import dataclasses
import json
import re
from types import SimpleNamespace

import boto3
import pytest

from chalicelib import errors, settings, store
from chalicelib.codec import keys
from chalicelib.functions import files as files_function
from chalicelib.functions import housekeeping
from chalicelib.host import cache, dead_letters, deadline, failures, mail, mqtt, sealer, secret, topics
from chalicelib.host import keys as keys_of_host
from chalicelib.schemas.points import Sent
from chalicelib.services.access import client_ids
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import profile_erasures
from chalicelib.services.devices import exports, jobs, sealings
from chalicelib.services.points import fullness, send
from chalicelib.services.usage import keys as service_of_keys
from chalicelib.services.usage import limits, outputs, quotas
from chalicelib.store import Entity, names
from deploy import spec
from deploy.names import Names
from tests.iot.test_iot import connect, publish
from tests.kit.accounts import Person
from tests.kit.api import Api, authorized
from tests.kit.clock import NOW_MS
from tests.kit.files import in_bucket
from tests.kit.policies import RECORDED, allowed, record, running, take_violations
from tests.kit.sealings import YESTERDAY, fill, kept_world, sealed, smalls, store_one
from tests.kit.world import SCHEDULED, World, point
from tests.services.test_counters import broken, deliver, records  # noqa: F401 - a fixture
from tests.services.test_erasures import keep_house
from tests.services.test_keys import Cloud, change_plan, create
from tests.services.test_sealings import deliver_message

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS
OF_LAMBDA = {
    "http": set(),
    "authorizer": set(),
    "iot-ingest": {("sqs:SendMessage", "decant-dev-failures")},
    "iot-authorizer": set(),
    "counters": {(action, "decant-dev-segments/stream/*") for action in spec.STREAM_ACTIONS},
    "housekeeping": {("sqs:SendMessage", "decant-dev-failures")},
    "keys": {(action, "decant-dev-keys.fifo") for action in spec.QUEUE_ACTIONS},
    "sealer": {(action, "decant-dev-sealer") for action in spec.QUEUE_ACTIONS},
    "files": {("sqs:SendMessage", "decant-dev-failures")},
}
"""What Lambda itself does with a function's role, besides writing its log."""


ACTION = {
    "name": "Keep", "type": "mqtt_topic", "trigger": [{"tag_key": "a", "topic": "b"}],
    "action": {"type": "insert_to_device"},
}  # fmt: skip


@pytest.fixture
def sessions(monkeypatch):
    """IoT Core's data plane with DeleteConnection, which moto lacks."""
    ended = []
    send = mqtt.IotCore.__init__

    def complete(self):
        send(self)
        made = self._client._make_api_call

        def call(operation, parameters):
            if operation == "DeleteConnection":
                record(parameters, self._client.meta.service_model.operation_model(operation))
                ended.append(parameters["clientId"])
                return {}
            return made(operation, parameters)

        self._client._make_api_call = call

    monkeypatch.setattr(mqtt.IotCore, "__init__", complete)
    mqtt.use(None)
    yield ended


def change_retention(clock):
    """Let the housekeeping follow a change of retention: once without time left, then to the end."""
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a"))
    world.admin.put(f"/device/{world.device}", {"chunk_retention": 2})
    clock.advance(600)
    with running("housekeeping"):
        with pytest.raises(errors.Unavailable):
            housekeeping.keep_house(SCHEDULED, SimpleNamespace(get_remaining_time_in_millis=lambda: 0))
        assert housekeeping.keep_house(SCHEDULED, None)["retentions"] == 1


def use_up(world, configure):
    """Give a profile a plan of which 80 % of the output are used, and a topic for alerts."""
    topic = boto3.client("sns").create_topic(Name="decant-alerts")["TopicArn"]
    topics.use(None)
    configure(plans='{"tiny": {"quotas": {"output": 10}}}', alerts_topic=topic)
    limits.change(world.profile, plan="tiny")
    read(world, 8 - quotas.used(profile=world.profile)["output"])


def read(world, points):
    """Let a profile have read so many points."""
    outputs.note(profile=world.profile, device=world.device, points=points)
    with running("http"):
        outputs.write()


def make_keys(cloud):
    """Make the key of a profile, replace it, remove the old one, and set a profile aside, as the limit is reached."""
    keys_of_host.use(None)
    profile, _ = create()
    secret.use(None)
    cloud.deliver()
    change_plan(profile, "scale")
    cloud.deliver()
    keys_of_host.use(None)
    cloud.keep_house()
    cloud.deliver()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(service_of_keys, "MOST", 0)
        create()
        failures.use(None)
        cloud.deliver()
    cloud.compare()
    keys_of_host.use(None)
    cloud.deliver()


def seal_days(clock, records):  # noqa: F811
    """Let a device's days be sealed: one that was stored before, and one that the counters ask for."""
    queue_url = boto3.client("sqs").create_queue(QueueName="decant-sealer")["QueueUrl"]
    world = kept_world()
    fill(world, count=64, minutes=10)
    deliver(records())
    store.current().delete(names.DEPLOYMENT, [names.SEALING])
    with running("housekeeping"):
        sealings.waits_s()
    clock.advance(86_400)
    sealer.use(None)
    keep_house(clock)
    store_one(world.doc, point("a"))
    sealer.use(None)
    deliver(records())
    sealer.use(None)
    for _ in range(3):
        deliver_message({"profile": world.profile, "device": world.device, "days": [YESTERDAY, YESTERDAY]})
        clock.advance(sealings.KEPT_MS / 1_000)
    assert len(sealed(world)) == 1 and len(smalls(world)) == 1
    boto3.client("sqs").delete_queue(QueueUrl=queue_url)
    sealer.use(None)


def work(world, left_ms=300_000):
    """Let the function of files work on the device's job."""
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: left_ms)
    with running("files"):
        files_function.work({"device": world.device}, context)


def keep_files(clock):
    """Back up and restore a device; erase a device, and a profile, with a backup that has begun."""
    world = World()
    world.send(point("a", time="2026-01-01"))
    address = f"/device/{world.device}/data"
    with running("http"):
        world.admin.post(f"{address}/backup", {"file_address": "x"}).result  # noqa: B018
    work(world)
    world.send(point("b", time="2026-01-01"))
    for path in ("x", "none"):
        world.admin.post(f"{address}/restore", {"file_address": path})
    work(world)
    for verb, path in (("restore", "x"), ("backup", "w")):  # to a full device, and of too many points
        world.admin.post(f"{address}/{verb}", {"file_address": path}).result  # noqa: B018
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(fullness, "MAX_POINTS", 0)
            patched.setattr(exports, "MAX_ROWS", 1)
            patched.setattr(exports.host, "PART_BYTES", 1)
            work(world)
    world.admin.get("/files/url", query={"path": "x"}).result  # noqa: B018
    world.admin.post("/files/url", {"filename": "z", "size": 5}).result  # noqa: B018
    world.admin.post(f"{address}/backup", {"file_address": "y"}).result  # noqa: B018
    clock.advance(3_600)
    keep_house(clock)
    with contextlib.suppress(errors.Unavailable):  # moto has no such function to ask
        work(world, 0)
    deadline.end()
    doomed = World()
    doomed.admin.post(f"/device/{doomed.device}/data/backup").result  # noqa: B018
    for entity in jobs.waiting():
        jobs.keep(jobs.do(entity))
    world.admin.delete(f"/device/{world.device}").result  # noqa: B018
    world.admin("DELETE", "/files", json_body=["x"]).result  # noqa: B018
    profile_erasures.begin(profile=doomed.profile)
    for _ in range(2):  # the device, then its data
        keep_house(clock)


@pytest.fixture
def seen(clock, dynamo, records, sessions, configure):  # noqa: F811
    """Run everything that the functions do."""
    boto3.client("ssm").put_parameter(
        Name=settings.current().secret_parameter, Type="SecureString", Value="s", Overwrite=True
    )
    cloud, queue_url = Cloud(clock), boto3.client("sqs").create_queue(QueueName="decant-dead-letters")["QueueUrl"]
    dead_letters.use(None)
    RECORDED.clear()
    world = World()
    secret.use(None)
    world.admin.get("/status")
    world.send()
    world.send(point("a", 1, time=HOUR_START), point("b", 2, time=HOUR_START), headers={"idempotency-key": "k"})
    a, b = world.read(qty=2)
    world.api.put("/data", {"id": a["id"], "value": 5})
    world.api.delete("/data", query={"ids": [a["id"], b["id"]]})
    context = authorized({"token": world.profile_token})
    secret.use(None)
    Api(context=context).get(f"/device/token/{world.device}")
    doc = world.doc
    cache.clear_all()
    other = World()
    connect(other.token)
    sent = {"topic": "led", "message": "on", "device": other.device, "retain": True}
    assert other.admin.post("/analysis/services/mqtt/publish", sent).status == 200
    other.admin.post("/action", ACTION)
    other.admin.put(f"/device/{other.device}", {"active": False})
    other.admin.put(f"/device/{other.device}", {"active": True})
    cache.clear_all()
    other.admin.post(f"/device/{other.device}/params", {"key": "payload_type", "value": "hex"})
    publish(point("fresh"))
    publish([])
    publish(b"raw")
    publish([{"value": 1}])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fullness, "MAX_POINTS", 0)
        publish(point("many"))
    use_up(world, configure)
    deliver(records())
    read(world, 1)
    deliver([broken(records()[0], points={"S": "not a number"})])
    world.send(point("a"))
    other.admin.post(f"/device/{other.device}/empty")
    change_retention(clock)
    world.admin.delete(f"/device/{world.device}")
    send.store_points(device=doc, sent=Sent([point("late")], b"late"))
    deliver(records())
    client_ids.bind(
        client_id="late", caller=Caller("device", world.profile, world.device, "full", None, "f"), keep_s=9_000
    )
    keep_house(clock)
    seal_days(clock, records)
    with in_bucket():
        keep_files(clock)
    make_keys(cloud)
    settings.use(dataclasses.replace(settings.current(), mail_from="decant@x.org"))
    mail.use(None)
    boto3.client("ses").verify_email_identity(EmailAddress="decant@x.org")
    Person("a@x.org")
    assert Api().get("/account/passwordreset/a@x.org").status == 200
    yield RECORDED
    secret.use(b"a secret of the tests")
    dead_letters.use(None)
    failures.use(None)
    topics.use(None)
    boto3.client("sqs").delete_queue(QueueUrl=queue_url)
    cloud.close()


def test_what_the_functions_do_is_what_they_may(seen):
    for function in spec.FUNCTIONS:
        done = {(action, resource) for name, action, resource in seen if name == function}
        may = {pair for pair in allowed(function) if not pair[0].startswith("logs:")} - OF_LAMBDA[function]
        assert done == may, function


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_no_policy_is_wide(stage):
    for function in spec.FUNCTIONS:
        for statement in spec.policy(function, Names(stage))["Statement"]:
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            assert not any("*" in action or action.endswith(":Scan") for action in actions)
            resource = statement["Resource"].split(":", 5)[5]
            if statement["Resource"].split(":")[2] == "s3":  # account and region follow
                assert statement["Condition"] == {"StringEquals": {"s3:ResourceAccount": "${aws:PrincipalAccount}"}}
                assert resource.removesuffix("/*") == f"decant-{stage}-files-*"
                continue
            if statement["Resource"].split(":")[2] == "apigateway":
                assert (actions[0], resource.removeprefix(":")) in spec.KEY_ACTIONS and function == "keys"
                continue
            if resource in ("topic/device/*", "client/*", "identity/*"):
                of_account = (["iot:Publish", "iot:RetainPublish"], ["iot:DeleteConnection"], ["ses:SendEmail"])
                assert actions in of_account, "names of IoT Core and SES are the account's"
                continue
            assert f"decant-{stage}" in resource or f"decant/{stage}" in resource
            assert "*" not in resource.removesuffix("/stream/*").removesuffix(":*")
        assert len(json.dumps(spec.policy(function, Names(stage)))) < 10_240


def test_violation_names_its_call_and_the_line_that_made_it(dynamo):
    with running("authorizer"):
        dynamo.put(Entity("owner", "name", {}))
    call = r"authorizer: dynamodb:PutItem on decant-dev-entities, at chalicelib/store/\w+\.py:\d+"
    assert re.fullmatch(call, take_violations())
    assert take_violations() == ""


def test_violation_outside_the_program_names_the_line_of_the_test():
    model = SimpleNamespace(name="SendMessage", service_model=SimpleNamespace(service_name="sqs"))
    with running("http"):
        record({"QueueUrl": "https://sqs/1/decant-failures"}, model)
        record({"QueueUrl": "https://sqs/1/decant-others"}, model)
    first, second = take_violations().splitlines()
    assert re.fullmatch(r"http: sqs:SendMessage on decant-dev-failures, at tests/deploy/test_policies\.py:\d+", first)
    assert re.fullmatch(r"http: sqs:SendMessage on decant-dev-others, at tests/deploy/test_policies\.py:\d+", second)
