"""Payload parsers of messages that IoT Core's rules pass on, on both stores."""

import pytest

from tests.iot.test_iot import connect, letters, publish  # noqa: F401 - a fixture
from tests.kit.clock import NOW_MS
from tests.kit.parsers import give, ready
from tests.kit.world import World, values

ready()


@pytest.fixture
def connected(world):
    assert connect(world.token)["isAuthenticated"]
    return world


def test_message_passes_the_parser_of_its_device(connected):
    give(connected, "payload = payload.map(({temp}) => ({variable: 'temp', value: temp, group: 7}))")
    assert publish([{"temp": 1}, {"temp": 2}]) == {"added": 2}
    assert [(one["value"], one["group"]) for one in connected.read()] == [(2, "7"), (1, "7")]


def test_text_is_a_point_that_knows_its_topic(connected):
    give(
        connected,
        "const [p] = payload; payload = {variable: 'x', value: p.value + p.metadata.topic + p.metadata.mqtt_topic}",
    )
    assert publish(b"1;2") == {"added": 1}
    assert values(connected.read()) == ["1;2tago/data/posttago/data/post"]


def test_points_know_the_topic_and_other_json_stays_as_it_is(connected):
    give(connected, "payload = {variable: 'x', value: JSON.stringify(payload)}")
    assert publish([{"variable": "a", "metadata": {"q": 1}}, {"temp": 1}]) == {"added": 1}
    about = '"mqtt_topic":"tago/data/post","topic":"tago/data/post"'
    assert values(connected.read()) == [f'[{{"variable":"a","metadata":{{"q":1,{about}}}}},{{"temp":1}}]']


def test_message_that_is_delivered_again_is_stored_once_whatever_the_parser_makes_of_the_clock(connected, clock):
    give(connected, "payload = [1, 2].map(i => ({variable: 'a', value: Date.now(), time: Date.now() - i * 60000}))")
    for _ in range(3):
        assert publish(b"01", timestamp=NOW_MS) == {"added": 2}
        clock.advance(9)
    assert publish(b"01", timestamp=NOW_MS, uuid="another") == {"added": 2}
    assert connected.read(query="count") == 2, "points of the same time and content are one"
    give(connected, "payload = [{variable: 'b', time: Date.now()}]")
    for uuid in ("u", "u", "another"):
        assert publish(b"02", timestamp=NOW_MS, uuid=uuid) == {"added": 1}
    assert connected.read(query="count", variables="b") == 2, "two messages without a time of their own are two points"


def test_parser_that_fails_makes_a_dead_letter(dynamo, letters):  # noqa: F811
    world = World()
    assert connect(world.token)["isAuthenticated"]
    give(world, "null.x")
    assert publish([{"temp": 1}])["refused"].startswith("Function Parse Error: TypeError")
    (letter,) = letters()
    assert letter["reason"].endswith("(device parser, line 1)") and letter["message"]["topic"] == "tago/data/post"
    assert world.read() == []


def test_nothing_from_a_parser_stores_nothing(connected):
    give(connected, "payload = []")
    assert publish([{"temp": 1}]) == {"added": 0}
    assert connected.admin.get(f"/device/{connected.device}").result["last_input"] is not None


def test_equal_messages_of_two_topics_of_which_the_parser_makes_different_points_are_two(connected):
    give(connected, "payload = payload.map(({time, metadata}) => ({variable: 'x', value: metadata.topic, time}))")
    sent = [{"variable": "v", "value": 5, "time": "2026-07-14T00:00:00Z"}]
    for topic in ("tago/data/post", "tagoio/data/post", "tago/data/post"):
        assert publish(sent, topic) == {"added": 1}
    assert sorted(values(connected.read())) == ["tago/data/post", "tagoio/data/post"]
