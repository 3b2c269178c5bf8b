"""/device: create, list, info, edit, delete, tokens and parameters."""

import base64
import json

import pytest

from chalicelib import store
from chalicelib.host import cache
from chalicelib.services.devices import catalogue
from chalicelib.store import names as keys
from tests.kit.world import World, point

CREATE = {"name": "A device"}


@pytest.fixture
def admin(world):
    return world.admin


def create(admin, **sent):
    return admin.post("/device", {**CREATE, **sent})


def test_create_answers_ids_and_a_token_that_works(world):
    made = create(world.admin).result
    assert made["device_id"] == made["bucket_id"] and len(made["device_id"]) == 24
    assert world.api.post("/data", point("a"), token=made["token"]).result == "1 Data Added"
    (token,) = world.admin.get(f"/device/token/{made['device_id']}", query={"fields": "expire_time"}).result
    assert token == {"expire_time": "never"}


def test_create_then_info_shows_everything(clock, world):
    decoder = base64.b64encode(b"return payload;").decode()
    sent = {
        "description": "about", "tags": [{"key": "k", "value": "v"}], "active": True, "visible": False, "payload_decoder": decoder,
        "type": "immutable", "chunk_period": "month", "chunk_retention": 3, "serie_number": "S1",
        "connector": "a" * 24, "network": "b" * 24, "configuration_params": [{"key": "k", "value": 5, "sent": True}], "unknown": 1,
    }  # fmt: skip
    device = create(world.admin, **sent).result["device_id"]
    info = world.admin.get(f"/device/{device}").result
    now = "2026-09-21T14:13:20.000Z"
    assert info == {
        "id": device, "profile": world.profile, "name": "A device", "description": "about", "active": True, "visible": False,
        "type": "immutable", "network": "b" * 24, "connector": "a" * 24, "tags": [{"key": "k", "value": "v"}],
        "payload_decoder": decoder, "chunk_period": "month", "chunk_retention": 3, "mutable_variable_regex": None,
        "data_retention": "3 month", "rpm": None, "created_at": now, "updated_at": now, "last_input": None,
        "last_output": None, "inspected_at": None, "bucket": {"id": device, "name": "A device"},
    }  # fmt: skip
    (param,) = world.admin.get(f"/device/{device}/params").result
    assert param == {"id": param["id"], "key": "k", "value": "5", "sent": True}


def test_create_defaults_to_a_mutable_custom_https_device(admin):
    info = admin.get(f"/device/{create(admin).result['device_id']}").result
    assert (info["type"], info["connector"], info["network"]) == (
        "mutable",
        catalogue.HTTPS_CONNECTOR,
        catalogue.HTTPS_NETWORK,
    )
    assert info["data_retention"] == "forever" and info["chunk_period"] is None and info["active"] is True
    mqtt = create(admin, connector=catalogue.MQTT_CONNECTOR).result["device_id"]
    assert admin.get(f"/device/{mqtt}").result["network"] == catalogue.MQTT_NETWORK


BAD = [
    ({"name": None}, "name"), ({"name": "ab"}, "name"), ({"name": "x" * 101}, "name"), ({"name": 5}, "name"),
    ({"type": "other"}, "type"), ({"type": "immutable"}, "chunk_period"), ({"type": "immutable", "chunk_period": "day"}, "chunk_retention"),
    ({"type": "immutable", "chunk_period": "day", "chunk_retention": 32}, "chunk_retention"),
    ({"type": "immutable", "chunk_period": "week", "chunk_retention": 27}, "chunk_retention"),
    ({"type": "immutable", "chunk_period": "month", "chunk_retention": 37}, "chunk_retention"),
    ({"type": "immutable", "chunk_period": "year", "chunk_retention": 1}, "chunk_period"),
    ({"type": "immutable", "chunk_period": "day", "chunk_retention": 1.5}, "chunk_retention"),
    ({"connector": "short"}, "connector"), ({"network": "a" * 24}, "connector"), ({"connector": "a" * 24}, "network"),
    ({"connector": catalogue.MQTT_CONNECTOR, "network": "a" * 24}, "network"), ({"active": "yes"}, "active"),
    ({"tags": [{"key": "a"}]}, "tags"), ({"tags": [{"key": "a", "value": "b"}] * 31}, "tags"), ({"tags": {}}, "tags"),
    ({"configuration_params": [{"key": "a", "value": "b"}] * 61}, "configuration_params"), ({"description": 5}, "description"),
    ({"payload_decoder": "%%%"}, "payload_decoder"), ({"payload_decoder": base64.b64encode(b"x" * 65_537).decode()}, "64kb"),
    ({"serie_number": "a#b"}, "serie_number"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "named"), BAD)
def test_create_bad_field_is_refused_by_name(admin, sent, named):
    before = len(admin.get("/device").result)
    answer = create(admin, **sent)
    assert answer.status == 400 and named in answer.message
    assert len(admin.get("/device").result) == before


@pytest.mark.parametrize("raw", ["", "[]", "{", "null", '"x"'])
def test_create_bad_body_is_refused(admin, raw):
    assert admin.post("/device", raw=raw).status == 400


def test_create_as_a_form_is_refused(admin):
    assert (
        admin.post("/device", raw="name=abc", headers={"Content-Type": "application/x-www-form-urlencoded"}).status
        == 415
    )


def test_create_ignores_mass_assignment(world):
    other = World()
    device = create(world.admin, id="0" * 24, profile=other.profile, created_at="2000-01-01", created_ms=0).result[
        "device_id"
    ]
    info = world.admin.get(f"/device/{device}").result
    assert info["profile"] == world.profile and info["id"] == device != "0" * 24 and info["created_at"] > "2020"


@pytest.fixture
def fleet(clock, world):
    world.ids = [world.device]
    for index, name in enumerate(["Beta mutable", "alpha Immutable", "gamma", "delta"]):
        clock.advance(60)
        tags = [{"key": "site", "value": "north" if index % 2 else "south"}, {"key": "n", "value": str(index)}]
        more = {"type": "immutable", "chunk_period": "day", "chunk_retention": 1} if index == 1 else {}
        made = create(world.admin, name=name, tags=tags, active=index != 2, serie_number=f"S{index}", **more).result
        world.ids.append(made["device_id"])
    return world


def names(world, **query):
    return [one["name"] for one in world.admin.get("/device", query=query).result]


def test_list_is_by_name_and_paged(fleet):
    assert names(fleet) == ["alpha Immutable", "Beta mutable", "delta", "Device", "gamma"]
    assert names(fleet, amount=2, page=2) == ["delta", "Device"]
    assert names(fleet, amount=2, page=4) == [] and names(fleet, amount=2, page=0) == names(fleet, amount=2, page=-3)
    assert names(fleet, orderBy="name,desc", amount=1) == ["gamma"]
    assert names(fleet, orderBy="created_at, desc", amount=1) == ["delta"]
    assert names(fleet, orderBy="active")[0] == "gamma"


@pytest.mark.parametrize(
    ("query", "got"),
    [
        ({"filter[name]": "*mutable*"}, {"alpha Immutable", "Beta mutable"}), ({"filter[name]": "GAMMA"}, {"gamma"}),
        ({"filter[name]": "gam"}, set()), ({"filter[name]": ""}, 5), ({"filter[active]": "False"}, {"gamma"}),
        ({"filter[active]": "true"}, 4), ({"filter[type]": "immutable"}, {"alpha Immutable"}),
        ({"filter[tags][0][key]": "site", "filter[tags][0][value]": "north"}, {"alpha Immutable", "delta"}),
        ({"filter[tags][0][key]": "site"}, 4), ({"filter[tags][0][value]": "3"}, {"delta"}),
        ({"filter[tags][0][key]": "site", "filter[tags][0][value]": "south", "filter[tags][1][key]": "n", "filter[tags][1][value]": "2"}, {"gamma"}),
        ({"filter[tags][0][key]": "n", "filter[tags][0][value]": "north"}, set()),
        ({"filter[connector]": catalogue.HTTPS_CONNECTOR}, 5), ({"filter[network]": "0" * 24}, set()), ({"serial": "S2"}, {"gamma"}),
        ({"filter[serial]": "S3"}, {"delta"}), ({"serial": "S"}, set()), ({"filter[created_at]": "150 seconds"}, 3), ({"filter[last_input]": "1 day"}, set()),
        ({"filter[updated_at]": "2030-01-01"}, set()), ({"filter[name]": ".*"}, set()),
    ],
)  # fmt: skip
def test_list_filters(fleet, query, got):
    found = names(fleet, **query)
    assert len(found) == got if isinstance(got, int) else set(found) == got


def test_list_filters_by_id_and_bucket(fleet):
    for name in ("id", "bucket"):
        assert names(fleet, **{f"filter[{name}]": fleet.ids[3]}) == ["gamma"]


def test_list_fields(fleet):
    (first, *_) = fleet.admin.get("/device").result
    assert set(first) == {"id", "name", "tags", "connector", "network"}
    (first, *_) = fleet.admin.get("/device?fields[0]=id&fields[1]=last_input&fields[2]=rpm").result
    assert (
        first["last_input"] is None
        and first["rpm"] is None
        and set(first) == {"id", "name", "tags", "last_input", "rpm"}
    )
    (first, *_) = fleet.admin.get(
        "/device?fields=name&resolveConnectorName=True&resolveBucketName=true&resolveNetworkName=1"
    ).result
    assert (first["connector_name"], first["network_name"], first["bucket_name"]) == (
        "Custom HTTPS",
        "Custom HTTPS",
        "alpha Immutable",
    )
    (first, *_) = fleet.admin.get("/device?resolveConnectorName=false&resolveBucketName=False").result
    assert "connector_name" not in first and "bucket_name" not in first


@pytest.mark.parametrize(
    "query",
    [
        {"fields": "secret"}, {"orderBy": "secret"}, {"orderBy": "name,up"}, {"amount": "x"}, {"amount": "0"}, {"amount": "10001"},
        {"page": "one"}, {"filter[secret]": "1"}, {"filter[active]": "perhaps"}, {"filter[created_at]": "x"}, {"filter[tags]": "x"},
        {"filter[tags][0]": "x"}, {"filter[a][b][c][d][e]": "1"},
    ],
)  # fmt: skip
def test_list_bad_parameter_is_refused(admin, query):
    assert admin.get("/device", query=query).status == 400


def test_list_sorts_and_filters_by_last_input(clock, sqlite):
    world = World()
    quiet = create(world.admin, name="Quiet").result["device_id"]
    world.send(point("a"))
    assert names(world, orderBy="last_input,desc") == ["Device", "Quiet"]
    assert names(world, **{"filter[last_input]": "1 hour"}) == ["Device"]
    shown = world.admin.get("/device", query={"fields": "last_input"}).result
    assert {one["id"]: one["last_input"] for one in shown} == {world.device: "2026-09-21T14:13:20.000Z", quiet: None}


def test_last_input_moves_even_when_nothing_is_stored(clock, sqlite):
    world = World()
    world.send()
    assert world.admin.get(f"/device/{world.device}").result["last_input"] == "2026-09-21T14:13:20.000Z"


def test_edit_changes_what_is_sent(clock, world):
    clock.advance(10)
    path = f"/device/{world.device}"
    assert (
        world.admin.put(path, {"name": "New name", "tags": [], "visible": False, "type": "immutable"}).result
        == "Successfully Updated"
    )
    info = world.admin.get(path).result
    assert (info["name"], info["visible"], info["type"], info["active"]) == ("New name", False, "mutable", True)
    assert info["updated_at"] > info["created_at"] and info["bucket"]["name"] == "New name"


@pytest.mark.parametrize(
    "sent",
    [
        {"name": "x"},
        {"active": 1},
        {"chunk_retention": 3},
        {"connector": "a" * 24},
        {"network": "a" * 24},
        {"connector": "a" * 24, "network": "b" * 24},
    ],
)
def test_edit_bad_field_is_refused(world, sent):
    answer = world.admin.put(f"/device/{world.device}", sent)
    assert answer.status == 400
    assert any(name in answer.message for name in sent) or "tokens" in answer.message


def test_edit_connector_only_after_the_tokens_are_gone(world):
    sent = {"connector": "a" * 24, "network": "b" * 24}
    assert world.admin.put(f"/device/{world.device}", sent).status == 400
    world.admin.delete(f"/device/token/{world.token}")
    assert world.admin.put(f"/device/{world.device}", sent).result == "Successfully Updated"
    assert world.admin.get(f"/device/{world.device}").result["connector"] == "a" * 24


def test_edit_retention_within_its_bounds(immutable_world):
    assert (
        immutable_world.admin.put(f"/device/{immutable_world.device}", {"chunk_retention": 31}).result
        == "Successfully Updated"
    )
    assert immutable_world.admin.put(f"/device/{immutable_world.device}", {"chunk_retention": 32}).status == 400


def test_delete_removes_the_device_and_all_it_has(world, each_store):
    world.send(point("a"))
    world.admin.post(f"/device/{world.device}/params", {"key": "k", "value": "v"})
    assert world.admin.delete(f"/device/{world.device}").result == "Successfully Removed"
    assert world.api.get("/data").status == 401
    assert world.admin.get(f"/device/{world.device}").status == 404
    assert world.admin.delete(f"/device/{world.device}").status == 404
    assert each_store.list(f"device#{world.device}", "") == []
    assert list(each_store.scan_segments(world.device, "0", "g", newest_first=True, first_page=5)) == []
    assert world.admin.get("/device").result == []


def test_delete_is_stopped_by_the_protection_tag(world):
    world.admin.put(f"/device/{world.device}", {"tags": [{"key": "_delete_protection_", "value": "Ask Ann first"}]})
    answer = world.admin.delete(f"/device/{world.device}")
    assert (answer.status, answer.message) == (400, "Ask Ann first")
    assert world.api.get("/data").status == 200


@pytest.mark.parametrize("device", ["0" * 24, "x", "..%2F", "%00", "A" * 24, "a" * 10_000, "token%2Fx"])
@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("GET", "/data"),
        ("GET", "/data_amount"),
        ("POST", "/empty"),
        ("GET", "/params"),
    ],
)
def test_unknown_device_is_not_found(world, device, method, tail):
    answer = world.admin(method, f"/device/{device}{tail}", json_body={} if method == "PUT" else None)
    assert (answer.status, answer.message) == (404, "Device not found")


def test_other_profile_sees_nothing(world):
    other = World()
    world.send(point("a"))
    param = (
        world.admin.post(f"/device/{world.device}/params", {"key": "k", "value": "v"})
        and world.admin.get(f"/device/{world.device}/params").result[0]["id"]
    )
    calls = [
        ("GET", "", None), ("PUT", "", {"name": "stolen"}), ("DELETE", "", None), ("GET", "/data", None), ("PUT", "/data", {"id": "0" * 24}),
        ("POST", "/data", point("a")), ("DELETE", "/data", None), ("GET", "/data_amount", None), ("POST", "/empty", None), ("GET", "/params", None),
        ("POST", "/params", {"key": "a", "value": "b"}), ("DELETE", f"/params/{param}", None),
    ]  # fmt: skip
    for method, tail, body in calls:
        assert other.admin(method, f"/device/{world.device}{tail}", json_body=body).status == 404
    assert other.admin.get(f"/device/token/{world.device}").status == 404
    assert other.admin.delete(f"/device/token/{world.token}").status == 404
    assert other.admin.post("/device/token", {"device": world.device, "name": "n", "permission": "full"}).status == 404
    assert other.api.put(f"/device/params/{param}", {"sent": True}).status == 404
    assert world.device not in other.admin.get("/device").text
    assert world.read(query="count") == 1 and world.admin.get(f"/device/{world.device}").result["name"] == "Device"
    point_id = world.read()[0]["id"]
    assert (
        other.read(ids=point_id) == []
        and other.api.put("/data", {"id": point_id, "value": 2}).result == "0 item(s) updated"
    )


def test_token_create_list_and_delete(clock, world):
    clock.advance(1)
    sent = {
        "device": world.device,
        "name": "Second",
        "permission": "read",
        "expire_time": "1 month",
        "serie_number": "S",
    }
    made = world.admin.post("/device/token", sent).result
    assert made["permission"] == "read" and made["expire_time"] == made["expire_date"] == "2026-10-21T14:13:21.000Z"
    listed = world.admin.get(f"/device/token/{world.device}").result
    assert [set(one) for one in listed] == [{"name", "token", "permission"}] * 2
    assert [one["name"] for one in listed] == ["Second", "Default"] and listed[0]["token"] == made["token"]
    fields = [
        "token",
        "device_id",
        "network_id",
        "name",
        "permission",
        "serie_number",
        "last_authorization",
        "expire_time",
        "created_at",
    ]
    (one,) = world.admin.get(
        f"/device/token/{world.device}", query={"fields": fields, "amount": 1, "filter[name]": "sec*"}
    ).result
    assert set(one) == set(fields) and one["serie_number"] == "S" and one["last_authorization"] is None
    assert world.admin.delete(f"/device/token/{made['token']}").result == "Token Successfully Removed"
    assert world.admin.delete(f"/device/token/{made['token']}").status == 404
    assert world.admin.get("/device", query={"serial": "S"}).result == []


@pytest.mark.parametrize(
    ("expire", "shown"),
    [
        (None, "never"),
        ("never", "never"),
        ("3 hours", "2026-09-21T17:13:20.000Z"),
        ("2027-01-01", "2027-01-01T00:00:00.000Z"),
    ],
)
def test_token_expiry(clock, world, expire, shown):
    made = world.admin.post(
        "/device/token", {"device": world.device, "name": "n", "permission": "full", "expire_time": expire}
    ).result
    assert made["expire_time"] == shown
    clock.advance(86_400 * 200)
    assert world.api.get("/data", token=made["token"]).status == (200 if shown == "never" else 401)


@pytest.mark.parametrize(
    "bad",
    [
        {"permission": "all"},
        {"permission": None},
        {"name": ""},
        {"name": 5},
        {"expire_time": "soon"},
        {"device": None},
        {"expire_time": 5},
    ],
)
def test_token_bad_field_is_refused(world, bad):
    sent = {"device": world.device, "name": "n", "permission": "full", **bad}
    answer = world.admin.post("/device/token", sent)
    assert answer.status == 400 and next(iter(bad)) in answer.message


def test_token_of_a_profile_cannot_be_deleted_as_a_devices(world):
    assert world.admin.delete(f"/device/token/{world.profile_token}").status == 404
    assert world.admin.delete("/device/token/nonsense").status == 404


def test_params_merge_by_id(world):
    path = f"/device/{world.device}/params"
    assert world.admin.post(path, {"key": "a", "value": 1.5}).result == "Params Successfully Updated"
    world.admin.post(path, [{"key": "b", "value": "x", "sent": True}, {"key": "a", "value": True}])
    listed = world.admin.get(path).result
    assert [(one["key"], one["value"], one["sent"]) for one in listed] == [
        ("a", "1.5", False),
        ("b", "x", True),
        ("a", "true", False),
    ]
    world.admin.post(path, {"id": listed[0]["id"], "value": "new"})
    assert [one["value"] for one in world.admin.get(path).result] == ["new", "x", "true"]
    assert [one["key"] for one in world.admin.get(path, query={"sent_status": "true"}).result] == ["b"]
    assert world.admin.delete(f"{path}/{listed[1]['id']}").result == "Successfully Removed"
    assert world.admin.delete(f"{path}/{listed[1]['id']}").status == 404
    assert len(world.admin.get(path).result) == 2


def test_params_limits_and_bad_input(world):
    path = f"/device/{world.device}/params"
    assert world.admin.post(path, [{"key": "a", "value": "b"}] * 61).status == 400
    world.admin.post(path, [{"key": "a", "value": "b"}] * 60)
    assert world.admin.post(path, {"key": "a", "value": "b"}).status == 400
    assert len(world.admin.get(path).result) == 60
    for bad in ({"key": "a"}, {"value": "b"}, {"key": 5, "value": "b"}, {"key": "a", "value": {}}, "x", [1], {"id": 5}):
        assert world.admin.post(path, bad).status == 400
    assert world.admin.post(path, {"id": "0" * 24, "value": "x"}).status == 404


def test_params_of_the_device_itself(world):
    world.admin.post(f"/device/{world.device}/params", [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    first, second = world.api.get("/device/params").result
    assert world.api.put(f"/device/params/{first['id']}", {"sent": True}).result == "Params Successfully Updated"
    assert world.api.put(f"/device/params/{second['id']}").result == "Params Successfully Updated"
    assert len(world.api.get("/device/params", query={"sent_status": "True"}).result) == 2
    world.api.put(f"/device/params/{first['id']}", {"sent": False})
    assert [one["key"] for one in world.api.get("/device/params", query={"sent_status": "false"}).result] == ["a"]
    assert world.api.put("/device/params/" + "0" * 24).status == 404
    assert world.api.put(f"/device/params/{first['id']}", {"sent": "yes"}).status == 400


def test_info_of_a_device_and_of_a_profile_token(world):
    info = world.api.get("/info").result
    assert info["id"] == world.device and info["profile"] == world.profile and isinstance(info["network"], str)
    assert world.api.get("/info?details=true").result["id"] == world.device
    profile = world.admin.get("/info").result
    assert (profile["type"], profile["permission"], profile["expire_time"]) == ("profile", "full", "never")
    assert "token" not in profile


def test_data_amount(world):
    world.send(point("a"), point("b"))
    assert world.admin.get(f"/device/{world.device}/data_amount").result == 2


def test_status_is_for_anybody(world):
    assert world.api.get("/status", headers={"token": "x"}).result["version"]


@pytest.mark.parametrize(("param", "status"), [({"key": "a"}, 400), ({"id": "0" * 24, "value": "b"}, 404), ({"key": "a", "value": float("nan")}, 400)])  # fmt: skip
def test_refused_parameter_leaves_no_device_behind(world, param, status):
    raw = json.dumps({"name": "Half made", "configuration_params": [param]})
    assert world.admin.post("/device", raw=raw, headers={"content-type": "application/json"}).status == status
    assert [device["name"] for device in world.admin.get("/device").result] == ["Device"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "-1e999"])
def test_parameter_that_is_no_finite_number_is_refused(world, number):
    raw = f'{{"key": "a", "value": {number}}}'
    assert world.admin.post(f"/device/{world.device}/params", raw=raw).status == 400
    assert world.admin.get(f"/device/{world.device}/params").result == []


def test_rpm_is_kept_shown_replaced_and_removed(world):
    path = f"/device/{world.device}"

    def rpm_after(sent):
        world.admin.put(path, {"rpm": sent}).result  # noqa: B018
        (listed,) = world.admin.get("/device?fields=rpm").result
        assert listed["rpm"] == world.admin.get(path).result["rpm"]
        return listed["rpm"]

    assert rpm_after({"data_input": 5, "data_output": 9, "other": 1}) == {"data_input": 5, "data_output": 9}
    world.admin.put(path, {"name": "Other"})
    assert world.admin.get(path).result["rpm"] == {"data_input": 5, "data_output": 9}
    assert rpm_after({"data_input": 7, "data_output": None}) == {"data_input": 7}
    assert rpm_after({}) is None
    rpm_after({"data_input": 7})
    assert rpm_after(None) is None
    made = world.admin.post("/device", {"name": "Limited", "rpm": {"data_output": 3}}).result["device_id"]
    assert world.admin.get(f"/device/{made}").result["rpm"] == {"data_output": 3}


@pytest.mark.parametrize("rpm", [5, [], {"data_input": 0}, {"data_input": 1.5}, {"data_output": "5"}, {"data_input": True}])  # fmt: skip
def test_rpm_that_is_no_whole_number_from_1_on_is_refused(world, rpm):
    refused = world.admin.put(f"/device/{world.device}", {"rpm": rpm})
    assert refused.status == 400 and "rpm" in refused.message
    assert world.admin.post("/device", {"name": "Other", "rpm": rpm}).status == 400


def test_a_device_of_an_earlier_version_has_no_rpm(world):
    entity = store.current().get(keys.profile(world.profile), f"device#{world.device}")
    store.current().put(entity._replace(doc={key: value for key, value in entity.doc.items() if key != "rpm"}))
    cache.clear_all()
    assert world.admin.get(f"/device/{world.device}").result["rpm"] is None
    assert world.api.post("/data", point("a")).status == 200


def test_find_takes_the_serial_number_from_the_path_alone(world):
    answer = world.admin.get("/device/find/S1", query={"filter[serial]": "S2"})
    assert answer.status == 400 and "filter[serial] is not known" in answer.message
