"""Empties the queues: each message is stored once, its device is marked, or it stays in its queue."""

import base64
import json

import boto3
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.functions import iot_ingest
from chalicelib.services.devices import ingest
from deploy import recount, retry
from deploy.parts import Cloud
from tests.iot.test_iot import SHARED, connected, letters  # noqa: F401 - fixtures
from tests.kit.clock import NOW_MS
from tests.kit.policies import running
from tests.kit.world import SCHEDULED, point

OTHERS = f"device/{'0' * 24}/data/post"


class Functions:
    """Replaces Lambda: calls the real function as Invoke does."""

    def invoke(self, FunctionName, Payload):
        assert FunctionName == "decant-dev-iot-ingest"
        try:
            with running("iot-ingest"):
                iot_ingest.store(json.loads(Payload), None)
        except errors.Unavailable:
            return {"FunctionError": "Unhandled"}
        return {"StatusCode": 200}


@pytest.fixture
def cloud(connected, letters):  # noqa: F811
    """A deployment with two queues. ``queue.put`` adds to the queue of failures."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="decant-dev-failures")["QueueUrl"]
    made = Cloud(botocore.session.Session(), "dev", {"lambda": Functions(), "sqs": sqs})
    made.world, made.letters = connected, letters
    made.put = lambda body: sqs.send_message(
        QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body)
    )
    made.waiting = lambda: int(
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"]
    )
    made.hidden = lambda: int(
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"][
            "ApproximateNumberOfMessagesNotVisible"
        ]
    )
    yield made
    sqs.delete_queue(QueueUrl=url)


def payload(*points):
    return base64.b64encode(json.dumps(points).encode()).decode()


def event(number):
    return {
        "payload": payload(point("a", number)), "topic": SHARED, "clientid": "thermo-1", "principal": "", "timestamp": NOW_MS + number,
    }  # fmt: skip


def retried(cloud):
    """Work off the queue of failures; return how many were delivered and how many stay."""
    done = retry.retry(cloud, "decant-dev-failures", recount.mark)
    return done.delivered, done.kept


def test_each_kind_is_stored_once_however_often_it_is_delivered(cloud):
    for _ in range(2):
        cloud.put(
            {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": event(1), "responsePayload": {}}
        )
        cloud.put(
            {
                "ruleName": "decant_dev_shared",
                "topic": SHARED,
                "clientId": "thermo-1",
                "base64OriginalPayload": payload(point("b", 2, time=NOW_MS)),
                "failures": [{"failedAction": "LambdaAction", "errorMessage": "throttled"}],
            }
        )
        cloud.put({"reason": "No device is bound to the client id", "message": event(3)})
    assert retried(cloud) == (6, 0) and cloud.waiting() == 0
    assert sorted(one["value"] for one in cloud.world.read()) == [1, 2, 3]


def test_more_than_a_page_is_delivered(cloud):
    for number in range(23):
        cloud.put({"requestPayload": event(number)})
    assert retried(cloud) == (23, 0)
    assert cloud.world.read(query="count") == 23


def test_what_still_cannot_be_stored_becomes_a_dead_letter_and_foreign_text_stays(cloud):
    cloud.put({"requestPayload": event(1) | {"topic": OTHERS}})
    cloud.put("not JSON")
    cloud.put({"requestPayload": {"version": "0"}})
    for device in (None, "", 7, {}):
        cloud.put({"reason": "r", "uncounted": device})
    assert retried(cloud) == (1, 6) and recount.marked() == set()
    assert [one["message"]["topic"] for one in cloud.letters()] == [OTHERS]


def test_store_that_is_still_down_leaves_the_message(cloud, monkeypatch):
    cloud.put({"requestPayload": event(1)})
    monkeypatch.setattr(ingest, "store", lambda _: (_ for _ in ()).throw(errors.Unavailable))
    assert retried(cloud) == (0, 1)


def test_failed_run_of_the_housekeeping_and_key_are_removed_as_a_later_run_does_their_work(cloud):
    cloud.put({"reason": "There are 9,500 API keys", "key_of": "a" * 24})
    cloud.put({"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": SCHEDULED, "responsePayload": {}})
    done = retry.retry(cloud, "decant-dev-failures", recount.mark)
    assert done == retry.Retried(runs=2) and cloud.waiting() == 0


def test_device_that_could_not_be_sealed_is_asked_for_again(cloud):
    url = boto3.client("sqs").create_queue(QueueName="decant-dev-sealer")["QueueUrl"]
    cloud.put({"profile": "a" * 24, "device": "b" * 24, "days": [1, 2]})
    assert retried(cloud) == (1, 0) and cloud.waiting() == 0
    (found,) = boto3.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert json.loads(found["Body"]) == {"profile": "a" * 24, "device": "b" * 24, "days": [1, 2]}
    boto3.client("sqs").delete_queue(QueueUrl=url)


def test_device_that_could_not_be_counted_is_marked_and_its_messages_are_removed(cloud):
    for number in range(12):
        cloud.put({"reason": f"batch {number}", "uncounted": "a" * 24})
    cloud.put({"reason": "r", "uncounted": "b" * 24})
    done = retry.retry(cloud, "decant-dev-failures", recount.mark)
    assert set(done.uncounted) == {"a" * 24, "b" * 24} == recount.marked()
    assert (len(done.uncounted), done.kept, cloud.waiting()) == (13, 0, 0)


def test_device_that_cannot_be_marked_stays_in_the_queue(cloud):
    cloud.put({"reason": "r", "uncounted": "a" * 24})

    def mark(device):
        raise errors.Unavailable

    with pytest.raises(errors.Unavailable):
        retry.retry(cloud, "decant-dev-failures", mark)
    assert cloud.hidden() == 1


@given(st.text() | st.from_regex(r'\{"[a-z]+": *[\[{"0-9].*\}'))
def test_any_text_is_an_event_or_none(body):
    found = retry.event_of(body, 0)
    assert found is None or "payload" in found
