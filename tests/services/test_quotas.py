"""Quotas: what happens when input, output or records are used up, and what is announced before, over both stores."""

import json
import re

import boto3
import pytest

from chalicelib import errors, store
from chalicelib.functions import housekeeping
from chalicelib.host import log, topics, webhooks
from chalicelib.services.devices import ingest
from chalicelib.services.usage import alerts, limits, outputs, quotas
from chalicelib.services.usage.plans import UNLIMITED
from chalicelib.store import names
from tests.kit.billing import counting
from tests.kit.faults import refusing, throttled
from tests.kit.policies import running
from tests.kit.world import SCHEDULED, World, point
from tests.services.test_counters import deliver, records  # noqa: F401 - a fixture
from tests.services.test_usage import DAY_S, settled  # noqa: F401 - a fixture

TEXT = "You have exceeded the maximum limit of {} ({}). Please upgrade you plan or contact support."


def limited(configure, **figures):
    """Return a world whose plan has these quotas."""
    world = World()
    configure(plans=json.dumps({"own": {"quotas": figures}}))
    limits.change(world.profile, plan="own")
    return world


def settle(world, settled):  # noqa: F811
    """Let counters and quotas follow, as the stream does on AWS and the chore in the embedded mode."""
    settled()
    quotas.settle(profile=world.profile)


def refusal(answer):
    return answer.status, answer.message


def test_input_is_refused_when_it_is_used_up_and_stores_nothing(clock, settled, configure):  # noqa: F811
    world = limited(configure, input=3)
    world.send(point("a"), point("b"))
    world.send(point("c"), point("d"))
    settle(world, settled)
    assert refusal(world.api.post("/data", point("e"))) == (402, TEXT.format("Data input", 3))
    assert world.read(query="count") == 4 and world.api.get("/data").status == 200
    clock.advance(10 * DAY_S)
    assert world.send(point("e")) == "1 Data Added", "a new month"


def test_output_is_refused_when_it_is_used_up(clock, settled, configure):  # noqa: F811
    world = limited(configure, output=3)
    world.send(point("a"), point("b"))
    world.read()
    settle(world, settled)
    assert world.read(query="count") == 2
    settle(world, settled)
    assert refusal(world.api.get("/data")) == (402, TEXT.format("Data output", 3))
    assert refusal(world.admin.get(f"/device/{world.device}/data")) == (402, TEXT.format("Data output", 3))
    assert world.send(point("a")) == "1 Data Added"
    clock.advance(10 * DAY_S)
    assert len(world.read()) == 3


def test_records_are_refused_until_some_are_removed(clock, settled, configure):  # noqa: F811
    world = limited(configure, data_records=2)
    world.send(point("a"), point("b"))
    settle(world, settled)
    assert refusal(world.api.post("/data", point("c"))) == (402, TEXT.format("Data records", 2))
    clock.advance(40 * DAY_S)
    assert world.api.post("/data", point("c")).status == 402, "records are not of a month"
    world.api.delete("/data", query={"variables": "a", "qty": 1})
    settle(world, settled)
    assert world.send(point("c")) == "1 Data Added"


def test_the_embedded_mode_refuses_the_very_next_request(clock, sqlite, configure):
    world = limited(configure, input=5, output=4)
    for _ in range(5):
        world.send(point("a"))
    assert world.api.post("/data", point("a")).status == 402
    assert [len(world.read(qty=2)), len(world.read(qty=2))] == [2, 2]
    assert world.api.get("/data").status == 402
    assert outputs.pending(profile=world.profile) == 4, "the output was counted although it is not written yet"


def test_a_refused_message_of_mqtt_is_an_api_error_and_stores_nothing(clock, settled, configure):  # noqa: F811
    world = limited(configure, input=0)
    settle(world, settled)
    payload = json.dumps(point("a")).encode()
    message = ingest.Message((world.profile, world.device), "c", "tago/data/post", payload, clock.now_ms, "1")
    with pytest.raises(errors.PaymentRequired, match="Data input"):
        ingest.store(message)
    assert world.read(query="count") == 0


def test_a_larger_plan_opens_what_was_blocked(clock, settled, configure):  # noqa: F811
    world = limited(configure, input=1)
    world.send(point("a"))
    settle(world, settled)
    assert world.api.post("/data", point("a")).status == 402
    limits.change(world.profile, plan="unlimited")
    quotas.settle(profile=world.profile)
    assert world.send(point("a")) == "1 Data Added" and limits.of(world.profile).blocked == ()


def test_the_stream_blocks_and_the_cost_of_a_post_stays_one_write(clock, records, configure):  # noqa: F811
    world = limited(configure, input=3)
    world.send(point("a"))
    deliver(records())
    with counting() as calls:
        world.send(point("a"), point("a", 2))
    assert dict(calls) == {"PutItem": 1}
    deliver(records()[1:])
    assert limits.of(world.profile, is_fresh=True)[2:6:3] == (("input",), "2026-09")
    with counting() as calls:
        assert world.api.post("/data", point("a")).status == 402
    assert dict(calls) == {}


def test_reads_on_aws_block_by_themselves_within_a_minute(clock, dynamo, configure):
    world = limited(configure, output=2)
    world.send(point("a"))
    for _ in range(3):
        world.read()
    clock.advance(61)
    world.read()
    assert world.api.get("/data").status == 402


def test_data_passes_if_the_quota_cannot_be_compared(clock, records, configure):  # noqa: F811
    lines = []
    world = limited(configure, input=1)
    world.send(point("a"))
    log.use(lines.append)
    with throttled("GetItem"):
        assert deliver(records()) == 1
    assert any('"unsettled"' in line for line in lines)
    assert world.send(point("a")) == "1 Data Added"


def test_data_passes_with_a_line_in_the_log_if_the_limits_cannot_be_read(clock, dynamo, configure):
    world = limited(configure, input=1)
    world.send(point("a"))
    lines: list[str] = []
    log.use(lines.append)
    clock.advance(61)
    from chalicelib.services.access import callers

    callers._callers.clear()
    with throttled("GetItem"), pytest.raises(errors.Unavailable):
        limits.of(world.profile)
    with throttled("GetItem"):
        quotas.check(profile=world.profile, services=("input",))
    assert any('"unchecked"' in line for line in lines)


def test_a_read_does_not_fail_if_its_quota_cannot_be_compared(clock, dynamo, configure):
    lines: list[str] = []
    world = limited(configure, output=1)
    world.send(point("a"))
    world.read()
    clock.advance(61)
    log.use(lines.append)
    with refusing("PutItem", "ThrottlingException", lambda params: params["Item"]["name"] == {"S": names.LIMITS}):
        assert len(world.read()) == 1
    assert any('"unsettled"' in line for line in lines)


def announced(lines):
    found = [json.loads(line) for line in lines if '"alerts"' in line]
    return [(one["service"], one["percent"]) for one in found if "percent" in one]


def test_each_part_is_announced_once_a_month(clock, settled, configure):  # noqa: F811
    lines: list[str] = []
    log.use(lines.append)
    world = limited(configure, input=10, data_records=1000)

    def send(points):
        world.send(*[point(f"v{number}") for number in range(points)])
        settle(world, settled)
        settle(world, settled)

    send(7)
    assert announced(lines) == []
    send(1)
    assert announced(lines) == [("input", 80)]
    send(2)
    assert announced(lines) == [("input", 80), ("input", 100)]
    assert quotas.summary(profile=world.profile)["alerts"] == {"input": 100}
    clock.advance(10 * DAY_S)
    assert quotas.summary(profile=world.profile)["alerts"] == {}
    send(9)
    assert announced(lines)[2:] == [("input", 90)]


@pytest.fixture
def topic(dynamodb, clean_process):
    """An SNS topic, as its ARN and a function that takes what was published."""
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    arn = sns.create_topic(Name="decant-alerts")["TopicArn"]
    url = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    topics.use(None)

    def take():
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(one["Body"]) for one in found]

    yield arn, take
    topics.use(None)
    sns.delete_topic(TopicArn=arn)
    sqs.delete_queue(QueueUrl=url)


def test_the_topic_gets_alerts_of_the_stream_and_of_the_housekeeping(clock, records, configure, topic):  # noqa: F811
    arn, take = topic
    world = limited(configure, input=1, output=1)
    configure(alerts_topic=arn)
    world.send(point("a"))
    deliver(records())
    (message,) = take()
    assert message["Subject"] == "Decant: 100 % of input used"
    assert json.loads(message["Message"]) == {
        "profile": world.profile, "service": "input", "percent": 100, "used": 1, "limit": 1,
    }  # fmt: skip
    world.read()
    clock.advance(61)
    world.read()
    with running("housekeeping"):
        housekeeping.keep_house(SCHEDULED, None)
    bodies = [json.loads(one["Message"]) for one in take()]
    assert "output" in {body["service"] for body in bodies}


def test_a_topic_that_does_not_exist_is_only_logged(clock, dynamo, configure, topic):
    lines: list[str] = []
    world = limited(configure, input=0)
    configure(alerts_topic=topic[0] + "x")
    log.use(lines.append)
    quotas.settle(profile=world.profile)
    assert any('"unsent"' in line for line in lines) and announced(lines) == [("input", 100)]


def test_the_webhook_of_the_profile_gets_alerts(clock, each_store, configure):
    sent: list[tuple[str, dict]] = []
    webhooks.use(lambda url, body: sent.append((url, body)))
    world = limited(configure, input=0)
    owner = names.profile(world.profile)
    profile = store.current().get(owner, names.PROFILE)
    store.current().put(profile._replace(doc=profile.doc | {"usage_webhook": "https://example.org/a"}))
    quotas.settle(profile=world.profile)
    quotas.settle(profile=world.profile)
    webhooks.use(None)
    ((url, body),) = sent
    assert url == "https://example.org/a" and (body["service"], body["percent"]) == ("input", 100)


def test_an_alert_that_two_processes_notice_is_sent_once(clock, each_store, configure):
    lines: list[str] = []
    log.use(lines.append)
    world = limited(configure, input=10)
    for _ in range(2):
        alerts._known.clear()
        alerts.announce(profile=world.profile, used={"input": 9}, allowed={"input": 10})
    assert announced(lines) == [("input", 90)]


def test_the_summary_has_what_clients_expect(clock, settled, configure):  # noqa: F811
    world = limited(configure, input=10)
    world.send(point("a"))
    world.read()
    settled()
    summary = quotas.summary(profile=world.profile)
    assert summary.keys() == {"limit", "limit_used", "amount", "addons", "tago_run", "alerts"}
    assert set(summary["limit"]) == set(summary["limit_used"]) == {
        "input", "output", "analysis", "sms", "email", "data_records", "run_users", "push_notification",
        "file_storage", "tcore", "tcore_cluster", "dashboard_output",
    }  # fmt: skip
    assert summary["limit"]["input"] == 10 and summary["limit"]["output"] == UNLIMITED == 9007199254740991
    assert [summary["limit_used"][name] for name in ("input", "output", "data_records", "sms")] == [1, 1, 1, 0]
    assert summary["amount"]["device"] == summary["amount"]["bucket"] == 1
    assert not re.search(r"null(?!})", json.dumps({**summary, "tago_run": 0}))


def test_the_unlimited_plan_is_never_compared(clock, each_store):
    world = World()
    world.send(point("a"))
    limits.of(world.profile)
    with counting() as calls:
        quotas.settle(profile=world.profile)
        quotas.check(profile=world.profile, services=("input", "output", "data_records"))
    assert dict(calls) == {}
