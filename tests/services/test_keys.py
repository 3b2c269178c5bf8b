"""The function that makes API keys: from a profile's creation to the key that the authorizer hands out."""

import itertools
import json
from types import SimpleNamespace

import boto3
import pytest

from chalicelib import errors, settings, store
from chalicelib.codec import tokens
from chalicelib.functions import housekeeping
from chalicelib.functions import keys as function
from chalicelib.host import api_keys, failures, keys, log, secret
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import keys as service
from chalicelib.services.usage import limits, plans
from chalicelib.store import names
from deploy import spec, throttles
from tests.api.test_authorizer import ask
from tests.kit.policies import running
from tests.kit.world import SCHEDULED

PLANS = (*throttles.SHARED_KEYS, "free", "scale", "unlimited")
DAY_S, AT_NIGHT_S = 86_400, 3 * 3_600 + 60
"""The second of the day, UTC, at which the tests have all keys compared."""


class Cloud:
    """API Gateway and the queues of a stage, and Lambda between them. ``refuse`` lists errors to come, by call."""

    def __init__(self, clock, stage="decant-"):
        self.clock, self.stage = clock, stage
        self.gateway, self.sqs = boto3.client("apigateway"), boto3.client("sqs")
        self.ids = {plan: self.gateway.create_usage_plan(name=stage + plan)["id"] for plan in PLANS}
        self.urls = {
            name: self.sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if "fifo" in name else {})[
                "QueueUrl"
            ]
            for name in (settings.current().keys_queue, settings.current().failures_queue)
        }
        self.called, self.refuse = [], {}
        keys.use(None)
        failures.use(None)
        api_keys.use(None)
        made = api_keys.current()._client
        send = made._make_api_call

        def call(operation, parameters):
            self.called.append((operation, clock.elapsed_s))
            if self.refuse.get(operation):
                code = self.refuse[operation].pop(0)
                if code:
                    raise made.exceptions.ClientError({"Error": {"Code": code}}, operation)
            return send(operation, parameters)

        made._make_api_call = call

    def close(self):
        for key in self.gateway.get_api_keys()["items"]:
            self.gateway.delete_api_key(apiKey=key["id"])
        for id_ in self.ids.values():
            self.gateway.delete_usage_plan(usagePlanId=id_)
        for url in self.urls.values():
            self.sqs.delete_queue(QueueUrl=url)
        for slot in (keys, failures, api_keys):
            slot.use(None)

    def deliver(self):
        """Let Lambda deliver a batch. Return the bodies that failed; SQS delivers them again."""
        url, messages = self.urls[settings.current().keys_queue], []
        while len(messages) < 10:
            page = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10 - len(messages), VisibilityTimeout=60)
            if not page.get("Messages"):
                break
            messages += page["Messages"]
        records = [{"messageId": one["MessageId"], "body": one["Body"]} for one in messages]
        with running("keys"):
            answer = function.make({"Records": records}, None)
        failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        for one in messages:
            receipt = {"QueueUrl": url, "ReceiptHandle": one["ReceiptHandle"]}
            if one["MessageId"] in failed:
                self.sqs.change_message_visibility(**receipt, VisibilityTimeout=0)
            else:
                self.sqs.delete_message(**receipt)
        return [json.loads(one["body"]) for one in records if one["messageId"] in failed]

    def set_aside(self):
        url = self.urls[settings.current().failures_queue]
        return [
            json.loads(one["Body"])
            for one in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        ]

    def works(self, value):
        """Return the name of the usage plan of a key that API Gateway knows by its value, or None."""
        ids = [key["id"] for key in self.gateway.get_api_keys(includeValues=True)["items"] if key["value"] == value]
        found = [
            plan for plan, id_ in self.ids.items() for key in self.gateway.get_usage_plan_keys(usagePlanId=id_)["items"] if key["id"] in ids
        ]  # fmt: skip
        return found[0] if found else None

    def names(self):
        return sorted(key["name"] for key in self.gateway.get_api_keys()["items"])

    def compare(self):
        """Let the housekeeping run in the next night."""
        self.keep_house((AT_NIGHT_S - self.clock.now_ms // 1000) % DAY_S)

    def keep_house(self, seconds=3_600):
        self.clock.advance(seconds)
        with running("housekeeping"):
            housekeeping.keep_house(SCHEDULED, None)


@pytest.fixture
def cloud(clock, dynamo):
    made = Cloud(clock)
    for name in throttles.SHARED_KEYS:
        service.fulfil([service.Request("", name)])
    made.called.clear()
    yield made
    made.close()


def create(plan="free"):
    with running("http"):
        return profiles.create(name="p", plan=plan)


def handed(token):
    """Return the key that the authorizer hands out for a token."""
    with running("authorizer"):
        return ask({"token": token})["usageIdentifierKey"]


def change_plan(profile, plan):
    limits.change(profile, plan=plan)
    with running("http"):
        keys.request(profile, plan)


def test_new_profile_waits_with_a_shared_key_and_gets_its_own(clock, cloud):
    profile, token = create()
    assert cloud.works(handed(token)) == plans.WAITING
    before_s = clock.elapsed_s
    assert cloud.deliver() == []
    assert 30 <= clock.elapsed_s - before_s < 35, "it says that a key works when API Gateway knows it everywhere"
    clock.advance(61)
    value = handed(token)
    assert value == tokens.api_key(secret.current(), profile, "free") and cloud.works(value) == "free"
    assert f"decant-{profile}-free" in cloud.names()


def test_change_of_plan_has_no_gap_however_long_a_process_remembers_the_old_plan(clock, cloud):
    profile, token = create()
    cloud.deliver()
    clock.advance(61)
    for plan in ("scale", "free", "unlimited"):
        change_plan(profile, plan)
        seen = []
        for seconds in (0, 30, 31, 60, 540):
            clock.advance(seconds)
            if seconds == 30:
                remembered = handed(token)
                cloud.deliver()
                assert cloud.works(remembered)
            seen.append(cloud.works(handed(token)))
        assert None not in seen and seen[-1] == plan
        cloud.keep_house(60)
        cloud.deliver()
        assert cloud.works(handed(token)) == plan
        assert [name for name in cloud.names() if profile in name] == [f"decant-{profile}-{plan}"]
    assert store.current().list(names.KEYS, names.profile("")) == []


def test_replaced_key_is_kept_for_ten_minutes(clock, cloud):
    profile, _ = create()
    cloud.deliver()
    change_plan(profile, "scale")
    cloud.deliver()
    own = [f"decant-{profile}-free", f"decant-{profile}-scale"]
    cloud.keep_house(service.KEPT_S - 60)
    assert cloud.deliver() == [] and [name for name in cloud.names() if profile in name] == own
    change_plan(profile, "free")  # back to the old one, which must not be removed as the old one
    clock.advance(60)
    cloud.deliver()
    cloud.keep_house()
    cloud.deliver()
    assert [name for name in cloud.names() if profile in name] == own[:1]
    assert limits.of(profile, is_fresh=True).key_ready == "free"


def test_key_is_not_noted_if_the_plan_changed_meanwhile(clock, cloud):
    profile, _ = create()
    limits.change(profile, plan="scale")
    assert cloud.deliver() == []
    assert limits.of(profile, is_fresh=True).key_ready == "" and not [one for one in cloud.names() if profile in one]


def test_plan_that_changes_while_the_function_waits_is_not_overwritten(clock, cloud, monkeypatch):
    profile, _ = create()
    advance = clock.advance

    def sleep(seconds):
        advance(seconds)
        if seconds == service.SETTLED_S:
            limits.change(profile, plan="scale")

    monkeypatch.setattr("chalicelib.host.clock.sleep", sleep)
    assert cloud.deliver() == []
    found = limits.of(profile, is_fresh=True)
    assert (found.plan, found.key_ready) == ("scale", "")


def test_calls_are_at_most_three_a_second_and_a_batch_waits_once(clock, cloud):
    for _ in range(10):
        create()
    before_s = clock.elapsed_s
    assert cloud.deliver() == []
    assert clock.elapsed_s - before_s < 30 + 24 / 3
    times = [at_s for _, at_s in cloud.called]
    assert len(times) >= 21 and all(later - now > 0.333 for now, later in itertools.pairwise(times))


@pytest.mark.parametrize("call", ["CreateApiKey", "CreateUsagePlanKey", "GetApiKeys"])
def test_refused_calls_come_again_with_all_that_follow(clock, cloud, call):
    made = [create()[0] for _ in range(3)]
    cloud.refuse[call] = ["TooManyRequestsException"]
    lines = []
    log.use(lines.append)
    failed = cloud.deliver()
    assert [one["profile"] for one in failed] == made and "TooManyRequestsException" in "".join(lines)
    assert cloud.deliver() == []
    assert [limits.of(profile, is_fresh=True).key_ready for profile in made] == ["free"] * 3


def test_request_that_fails_leaves_those_before_it_done(clock, cloud):
    made = [create()[0] for _ in range(3)]
    cloud.refuse["CreateApiKey"] = [None, "TooManyRequestsException"]
    assert [one["profile"] for one in cloud.deliver()] == made[1:]
    assert [limits.of(profile, is_fresh=True).key_ready for profile in made] == ["free", "", ""]
    assert cloud.deliver() == [] and limits.of(made[2], is_fresh=True).key_ready == "free"


def test_plan_that_does_not_exist_keeps_nobody_else_waiting(clock, cloud):
    lost, made = create("gone")[0], create()[0]
    assert cloud.deliver() == []
    assert limits.of(made, is_fresh=True).key_ready == "free" and limits.of(lost, is_fresh=True).key_ready == ""
    (letter,) = cloud.set_aside()
    assert letter == {"key_of": lost, "reason": "The usage plan decant-gone is missing"}


def test_deployer_is_told_which_keys_cannot_be_made_and_makes_the_others(clock, cloud):
    made, lost = create()[0], create("gone")[0]
    with pytest.raises(
        errors.Unavailable, match=r"^1 API keys could not be made\. The usage plan decant-gone is missing$"
    ):
        service.repair(service.look_over())
    assert limits.of(made, is_fresh=True).key_ready == "free" and limits.of(lost, is_fresh=True).key_ready == ""
    assert [request.profile for request in service.look_over().missing] == [lost]


def test_usage_plan_that_was_made_anew_is_found(clock, cloud):
    create()
    cloud.deliver()
    cloud.gateway.delete_usage_plan(usagePlanId=cloud.ids["free"])
    cloud.ids["free"] = cloud.gateway.create_usage_plan(name="decant-free")["id"]
    cloud.refuse["CreateUsagePlanKey"] = ["NotFoundException"]  # moto does not look whether the plan exists
    profile, _ = create()
    assert cloud.deliver() == []
    assert cloud.works(tokens.api_key(secret.current(), profile, "free")) == "free"


def test_conflict_is_looked_up_by_name(clock, cloud, monkeypatch):
    """An earlier try made the key, and its answer was lost; or another run makes it at the same time."""
    profile, _ = create()
    value = tokens.api_key(secret.current(), profile, "free")
    listed = api_keys.ApiKeys.all

    def create_first(self, name=""):
        found = listed(self, name)
        if not name:
            cloud.gateway.create_api_key(name=f"decant-{profile}-free", value=value, enabled=True)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(api_keys.ApiKeys, "all", create_first)
        assert cloud.deliver() == []
    assert cloud.works(value) == "free" and limits.of(profile, is_fresh=True).key_ready == "free"
    cloud.refuse["CreateUsagePlanKey"] = ["ConflictException"]
    limits.note_key(profile, "")
    with running("http"):
        keys.request(profile, "free")
    assert cloud.deliver() == []


def test_message_that_comes_twice_changes_nothing(clock, cloud):
    profile, _ = create()
    with running("http"):
        keys.request(profile, "free")
    cloud.deliver()
    before = len(cloud.called)
    with running("http"):
        keys.request(profile, "free")
    cloud.deliver()
    assert [name for name, _ in cloud.called[before:]] == ["GetApiKeys"]
    assert len([name for name in cloud.names() if profile in name]) == 1


def test_from_9500_keys_on_no_key_is_made_and_an_alarm_rings(clock, cloud, monkeypatch):
    monkeypatch.setattr(service, "MOST", len(cloud.names()) + 1)
    first, second = create()[0], create()[0]
    assert cloud.deliver() == []
    assert limits.of(first, is_fresh=True).key_ready == "free" and limits.of(second, is_fresh=True).key_ready == ""
    (letter,) = cloud.set_aside()
    assert letter["key_of"] == second and "shares" in letter["reason"].replace("share", "shares")
    cloud.compare()
    cloud.deliver()
    assert len(cloud.set_aside()) == 1, "one a night, not one for each profile"
    assert service._FULL.startswith("There are 9,500 API keys")


def test_nightly_comparison_mends_what_differs(clock, cloud):
    lost, unasked, replaced, unplanned = (create()[0] for _ in range(4))
    cloud.deliver()
    by_name = {key["name"]: key["id"] for key in cloud.gateway.get_api_keys()["items"]}
    cloud.gateway.delete_api_key(apiKey=by_name[f"decant-{lost}-free"])
    limits.note_key(unasked, "")
    cloud.gateway.create_api_key(name=f"decant-{replaced}", value="0" * 40)  # as an earlier version named it
    cloud.gateway.create_api_key(name=f"decant-{'a' * 24}-free", value="1" * 40)  # of a profile that does not exist
    cloud.gateway.create_api_key(name="others", value="2" * 40)
    cloud.gateway.delete_usage_plan_key(usagePlanId=cloud.ids["free"], keyId=by_name[f"decant-{unplanned}-free"])
    cloud.gateway.delete_api_key(apiKey=by_name["decant-waiting"])
    cloud.compare()
    assert cloud.deliver() == [] and cloud.deliver() == []
    for profile in (lost, unasked, replaced, unplanned):
        assert limits.of(profile, is_fresh=True).key_ready == "free"
        assert cloud.works(tokens.api_key(secret.current(), profile, "free")) == "free"
    assert cloud.works(tokens.api_key(secret.current(), "", "waiting")) == "waiting"
    cloud.keep_house()
    cloud.deliver()
    own = [f"decant-{profile}-free" for profile in (lost, unasked, replaced, unplanned)]
    assert cloud.names() == sorted([*own, "decant-loud", "decant-waiting", "others"])
    cloud.keep_house(7_200)  # nothing differs and nothing is due: the function is not called
    url = cloud.urls[settings.current().keys_queue]
    assert cloud.sqs.receive_message(QueueUrl=url).get("Messages", []) == []


def test_keys_of_a_deleted_profile_go_ten_minutes_later(clock, cloud):
    erased, removed = create()[0], create()[0]
    cloud.deliver()
    limits.change(erased, is_erased=True)
    profiles.delete(profile=removed)
    with running("http"):
        for profile in (erased, removed):
            keys.request(profile, "free")
    cloud.deliver()
    assert [name for name in cloud.names() if erased in name or removed in name] != []
    cloud.keep_house()
    cloud.deliver()
    assert cloud.names() == ["decant-loud", "decant-waiting"]
    assert store.current().get(names.profile(removed), names.LIMITS) is None, "nothing of it comes back"


def test_queue_that_does_not_answer_stops_no_profile_and_is_mended_at_night(clock, cloud, monkeypatch):
    lines = []
    log.use(lines.append)
    url = cloud.urls.pop(settings.current().keys_queue)
    cloud.sqs.delete_queue(QueueUrl=url)
    profile, token = create()
    assert "NonExistentQueue" in "".join(lines) and profile in "".join(lines) and token not in "".join(lines)
    cloud.urls[settings.current().keys_queue] = cloud.sqs.create_queue(
        QueueName="decant-keys.fifo", Attributes={"FifoQueue": "true"}
    )["QueueUrl"]
    keys.use(None)
    cloud.compare()
    cloud.deliver()
    cloud.deliver()
    assert limits.of(profile, is_fresh=True).key_ready == "free"


def test_task_that_fails_comes_again(clock, cloud):
    cloud.compare()
    cloud.refuse["GetUsagePlans"] = ["TooManyRequestsException"]
    assert cloud.deliver() == [{"task": "compare"}]
    assert cloud.deliver() == []


def test_two_stages_do_not_meet(clock, cloud, configure):
    profile, _ = create()
    cloud.deliver()
    configure(keys_prefix="decant-other-")
    api_keys.use(None)
    assert service.all_of_stage() == [] and service.look_over().ownerless == []
    configure(keys_prefix="decant-")
    api_keys.use(None)
    assert [key.name for key in service.all_of_stage() if profile in key.name] == [f"decant-{profile}-free"]


def test_function_ends_its_calls_before_lambda_ends_it(clock, cloud):
    create()
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: spec.FUNCTIONS["keys"].timeout_s * 1000)
    url = cloud.urls[settings.current().keys_queue]
    (one,) = cloud.sqs.receive_message(QueueUrl=url)["Messages"]
    record = {"messageId": one["MessageId"], "body": one["Body"]}
    assert function.make({"Records": [record]}, context) == {"batchItemFailures": []}
