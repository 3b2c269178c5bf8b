"""The parameters that every list has, and those that each refuses."""

import pytest

from tests.kit.world import World

ACTION = {
    "name": "Keep meters", "type": "mqtt_topic", "trigger": [{"tag_key": "kind", "topic": "meters/#"}],
    "action": {"type": "insert_to_device"},
}  # fmt: skip


@pytest.fixture
def lists(world):
    world.admin.post("/action", ACTION)
    return {"device": "/device", "token": f"/device/token/{world.device}", "action": "/action"}


@pytest.mark.parametrize(
    ("name", "query", "word"),
    [
        ("token", "orderBy=visible,asc", "orderBy"), ("action", "orderBy=last_input,asc", "orderBy"),
        ("device", "orderBy=tags", "orderBy"), ("device", "orderBy=name,up", "orderBy"),
        ("token", "filter[id]=1", "filter[id]"), ("token", "filter[tags][0][key]=a", "filter[tags]"),
        ("action", "filter[last_input]=1 day", "filter[last_input]"), ("device", "filter[nothing]=1", "filter[nothing]"),
        ("device", "filter[name]=a&filter[name]=b", "filter[name]"), ("device", "filter[active]=maybe", "filter[active]"),
        ("action", "filter[created_at]=never", "filter[created_at]"), ("device", "filter[tags]=a", "filter[tags]"),
        *((name, f"{part}=1&{part}=2", part) for name in ("device", "token", "action") for part in ("amount", "page")),
        *((name, "orderBy=name&orderBy=created_at", "orderBy") for name in ("device", "token", "action")),
        ("device", "filter[tags][0][key][x]=a", "filter[tags]"), ("device", "filter[tags][0][other]=a", "filter[tags]"),
        ("device", "filter[tags][0][key]=a&filter[tags][0][key]=b", "filter[tags]"), ("action", "filter=x", "filter"),
        ("device", "filter[]=x", "filter"), ("token", "filter=x&filter=y", "filter"),
        *((name, f"{part}=--5", part) for name in ("device", "token", "action") for part in ("amount", "page")),
        ("token", "amount=0", "amount"), ("action", "amount=10001", "amount"), ("device", "page=x", "page"),
        ("device", "fields=secret", "fields"), ("token", "fields=id", "fields"), ("action", "fields=visible", "fields"),
    ],
)  # fmt: skip
def test_list_refuses_what_it_does_not_know(world, lists, name, query, word):
    answer = world.admin.get(f"{lists[name]}?{query}")
    assert answer.status == 400 and word in answer.message and answer.body["field_errors"], answer.text


def test_pattern_takes_no_time_however_it_is_made(world, lists):
    world.admin.post("/device", {"name": "a" * 100})
    found = world.admin.get(f"/device?filter[name]={'*a' * 10}b")
    assert found.result == [] and len(world.admin.get(f"/device?filter[name]={'*a' * 10}").result) == 1
    refused = world.admin.get(f"/device?filter[name]={'*a' * 11}")
    assert refused.status == 400 and "10 wildcards" in refused.message


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_list_sorts_by_every_field_that_it_names(world, lists, direction):
    from chalicelib.schemas import actions, devices, tokens

    for name, schema in (("device", devices), ("token", tokens), ("action", actions)):
        for field in schema.LIST.sortable:
            assert len(world.admin.get(f"{lists[name]}?orderBy={field},{direction}").result) == 1, (name, field)


def test_list_filters_tokens_and_actions_by_their_own_fields(clock, world, lists):
    sent = {"device": world.device, "name": "Reader", "permission": "read", "serie_number": "S1"}
    world.admin.post("/device/token", sent)
    for query, names in (
        ("filter[permission]=read", ["Reader"]), ("filter[serie_number]=s*", ["Reader"]), ("filter[name]=def*", ["Default"]),
        ("filter[created_at]=1 day", ["Default", "Reader"]), ("filter[name]=x", []),
    ):  # fmt: skip
        found = world.admin.get(f"{lists['token']}?{query}&orderBy=name").result
        assert [token["name"] for token in found] == names, query
    action = world.admin.get("/action?fields=type,lock").result[0]
    for query in (
        f"filter[id]={action['id']}",
        "filter[type]=mqtt*",
        "filter[lock]=false",
        "filter[updated_at]=1 hour",
    ):
        assert len(world.admin.get(f"/action?{query}").result) == 1, query
    clock.advance(7_200)
    assert world.admin.get("/action?filter[updated_at]=1 hour").result == []
    assert world.admin.get("/action?filter[last_triggered]=1 year").result == []


def test_list_sorts_numbers_as_numbers_and_absent_ones_first(world, lists):
    for retention in (10, 2, 1, 20):
        sent = {"name": "Kept", "type": "immutable", "chunk_period": "day", "chunk_retention": retention}
        world.admin.post("/device", sent)
    rows = world.admin.get("/device?orderBy=chunk_retention,asc&fields=chunk_retention").result
    assert [row["chunk_retention"] for row in rows] == [None, 1, 2, 10, 20]


def test_list_of_another_profile_stays_empty(world, lists):
    other = World()
    assert other.admin.get("/action").result == []
    assert world.device not in [device["id"] for device in other.admin.get("/device").result]
    assert other.admin.get(lists["token"]).status == 404


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/xml; charset=utf-16"])
def test_content_type_of_a_request_without_a_body_does_not_matter(world, lists, kind):
    headers = {"content-type": kind}
    for path in (*lists.values(), f"/device/{world.device}", "/info"):
        assert world.admin.get(path, headers=headers).status == 200
    assert world.api.get("/data", headers=headers).status == 200
    assert world.api.delete("/data?variables=a", headers=headers).status == 200
