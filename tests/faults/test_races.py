"""Two concurrent writers of one thing, and two requests with the same key."""

import pytest

from chalicelib import store
from chalicelib.codec import keys, segments
from chalicelib.services.points import rewrite
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point, values

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS


@pytest.fixture
def rival(world, monkeypatch):
    """Return a function that installs a rival: ``act`` runs before each of the next ``times`` calls of ``method``."""

    def install(method, times, act):
        current, left = store.current(), [times]
        original = getattr(current, method)

        def late(*args, **kwargs):
            if left[0] > 0:
                left[0] -= 1
                act()
            return original(*args, **kwargs)

        monkeypatch.setattr(current, method, late)

    return install


def filled(world, count=4):
    world.send(*[point("a", number, time=HOUR_START + number) for number in range(count)])
    return [one["id"] for one in world.read(ordination="ascending")]


def filled_again(world):
    """Send four points. Return them, to be sent again, and their ids."""
    ids = filled(world)
    return [point("a", number, time=HOUR_START + number) for number in range(4)], ids


def test_edits_of_two_points_of_one_segment_are_both_kept(world, rival):
    ids = filled(world)
    rival("replace_segment", 1, lambda: world.api.put("/data", {"id": ids[1], "value": "rival"}))
    assert world.api.put("/data", {"id": ids[0], "value": "late"}).result == "1 item(s) updated"
    assert values(world.read(ordination="ascending")) == ["late", "rival", 2, 3]


def test_edit_and_delete_of_one_segment_are_both_kept(world, rival):
    ids = filled(world)
    rival("replace_segment", 1, lambda: world.api.delete("/data", query={"ids": ids[3]}))
    world.api.put("/data", {"id": ids[0], "value": "late"})
    assert values(world.read(ordination="ascending")) == ["late", 1, 2]
    assert world.admin.get(f"/device/{world.device}/data_amount").result in (3, 4)


def test_edit_of_a_point_that_is_deleted_meanwhile_changes_nothing(world, rival):
    ids = filled(world, 1)
    rival("replace_segment", 1, lambda: world.api.delete("/data", query={"ids": ids[0]}))
    assert world.api.put("/data", {"id": ids[0], "value": "late"}).result == "0 item(s) updated"
    assert world.read() == []


def test_move_of_a_point_that_is_edited_meanwhile_ends_in_one_point(world, rival):
    ids = filled(world)
    rival("replace_segment", 1, lambda: world.api.put("/data", {"id": ids[0], "unit": "C"}))
    world.api.put("/data", {"id": ids[0], "time": HOUR_START - 5 * keys.HOUR_MS})
    assert [one["id"] for one in world.read()].count(ids[0]) == 1 and world.read(query="count") == 4


def test_retry_after_a_delete_and_the_same_retry_at_once_restore_once(world, rival):
    (sent, ids), others = filled_again(world), []
    world.api.delete("/data", query={"ids": ids[:2]})
    rival("replace_segment", 1, lambda: others.append(world.send(*sent)))
    assert [world.send(*sent), *others] == ["4 Data Added"] * 2
    assert values(world.read(ordination="ascending")) == [0, 1, 2, 3]
    assert world.admin.get(f"/device/{world.device}/data_amount").result == 4


def test_point_that_is_deleted_while_a_retry_restores_another_is_restored_too(world, rival):
    sent, ids = filled_again(world)
    world.api.delete("/data", query={"ids": ids[0]})
    rival("replace_segment", 1, lambda: world.api.delete("/data", query={"ids": ids[3]}))
    assert world.send(*sent) == "4 Data Added"
    assert values(world.read(ordination="ascending")) == [0, 1, 2, 3]


def test_edit_while_a_retry_restores_another_point_is_kept(world, rival):
    sent, ids = filled_again(world)
    world.api.delete("/data", query={"ids": ids[0]})
    edits = [{"id": ids[1], "value": "edited"}, {"id": ids[2], "time": HOUR_START - 5 * keys.HOUR_MS}]
    rival("replace_segment", 1, lambda: world.api.put("/data", edits))
    assert world.send(*sent) == "4 Data Added"
    assert values(world.read(ordination="ascending")) == [2, 0, "edited", 3]


def test_device_that_is_emptied_while_a_retry_restores_a_point_holds_the_whole_request(world, rival):
    sent, ids = filled_again(world)
    world.api.delete("/data", query={"ids": ids[0]})
    rival("replace_segment", 1, lambda: world.admin.post(f"/device/{world.device}/empty"))
    assert world.send(*sent) == "4 Data Added"
    assert values(world.read(ordination="ascending")) == [0, 1, 2, 3]


def test_point_that_is_moved_again_while_a_retry_looks_for_it_stays_one_point(world, rival):
    sent, ids = filled_again(world)
    move = {"id": ids[0], "time": HOUR_START - 5 * keys.HOUR_MS}
    world.api.put("/data", move)
    rival("get_segment", 1, lambda: world.api.put("/data", move | {"time": HOUR_START - 6 * keys.HOUR_MS}))
    assert world.send(*sent) == "4 Data Added"
    assert world.read(query="count") == 4 and sorted(one["id"] for one in world.read()) == ids
    assert world.read(ids=ids[0])[0]["time"].startswith("2026-09-21T08:00")


def test_retry_that_loses_again_and_again_is_409_and_can_be_sent_again(world, monkeypatch):
    sent, ids = filled_again(world)
    world.api.delete("/data", query={"ids": ids[0]})
    with monkeypatch.context() as patch:
        patch.setattr(store.current(), "replace_segment", lambda *_, **__: False)
        assert world.api.post("/data", sent).status == 409
    assert world.send(*sent) == "4 Data Added" and world.read(query="count") == 4


def test_delete_of_a_whole_segment_twice_at_once_counts_once(world, rival):
    ids = filled(world, 2)
    rival("delete_segment", 1, lambda: world.api.delete("/data", query={"ids": ids[0]}))
    assert world.api.delete("/data", query={"ids": ids}).result == "1 Data Removed"
    assert world.read() == []


@pytest.mark.parametrize("call", ["edit", "delete"])
def test_race_lost_again_and_again_is_409(world, monkeypatch, call):
    ids = filled(world)
    monkeypatch.setattr(store.current(), "replace_segment", lambda *_, **__: False)
    if call == "edit":
        answer = world.api.put("/data", {"id": ids[0], "value": 1})
    else:
        answer = world.api.delete("/data", query={"ids": ids[0]})
    assert answer.status == 409


def test_device_edited_by_two_at_once_keeps_both(world, rival):
    path = f"/device/{world.device}"
    rival("put_if", 1, lambda: world.admin.put(path, {"description": "rival"}))
    assert world.admin.put(path, {"name": "Renamed"}).status == 200
    found = world.admin.get(path).result
    assert found["name"] == "Renamed" and found["description"] == "rival"


def test_device_edited_again_and_again_is_409(world, monkeypatch):
    current = store.current()

    def lose(entity, version):
        return store.Conflict(current.get(entity.owner, entity.name))

    monkeypatch.setattr(current, "put_if", lose)
    assert world.admin.put(f"/device/{world.device}", {"name": "Renamed"}).status == 409
    assert world.api.post("/data", point("fresh")).status == 409


def test_directory_widened_by_two_at_once_names_both(world, rival):
    rival("put_if", 1, lambda: World.send(world, point("theirs")))
    world.send(point("ours"))
    assert {one["variable"] for one in world.read(query="last_value")} == {"ours", "theirs"}


def squat(world, key, suffixes):
    """Put segments of other requests at the key and at the keys that follow."""
    taken = segments.decode(store.current().get_segment(world.device, key))
    world.admin.post(f"/device/{world.device}/empty")
    for step in range(suffixes):
        suffix = (keys.key_suffix(key) + step) % keys.SUFFIX_COUNT
        taken.key, taken.digest = keys.segment_key(keys.key_time_ms(key), suffix), bytes([step + 1]) * 32
        store.current().put_segments([segments.encode(taken)], profile=world.profile, now_ms=NOW_MS)


def test_requests_with_the_same_key_are_both_kept_and_a_retry_is_recognised(world):
    points = [point("a", 1, time=HOUR_START), point("a", 2, time=HOUR_START + keys.HOUR_MS)]
    world.send(*points)
    (found,) = world.read(qty=1)
    squat(world, found["id"][:20], 3)
    for _ in range(3):
        assert world.send(*points) == "2 Data Added"
    assert world.read(query="count") == 5


def test_too_many_requests_in_one_key_are_409(world):
    world.send(point("a", 1, time=HOUR_START))
    (found,) = world.read(qty=1)
    squat(world, found["id"][:20], 64)
    assert world.api.post("/data", [point("a", 1, time=HOUR_START)]).status == 409
    assert world.read(query="count") == 64


def test_move_to_a_taken_key_is_409(world, monkeypatch):
    (point_id,) = filled(world, 1)
    current, standing = store.current(), store.current().get_segment(world.device, point_id[:20])
    monkeypatch.setattr(current, "put_segments", lambda *_, **__: {0: standing})
    answer = world.api.put("/data", {"id": point_id, "time": HOUR_START - keys.HOUR_MS})
    assert answer.status == 409 and "millisecond" in answer.message


def test_move_that_was_cut_short_is_completed_by_the_same_edit(world, monkeypatch):
    ids = filled(world)
    current, original = store.current(), store.current().replace_segment
    edit = {"id": ids[0], "time": HOUR_START - 5 * keys.HOUR_MS}
    with monkeypatch.context() as patch:
        patch.setattr(current, "replace_segment", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rewrite.edit(device=world.doc, items=[edit], done={})
    assert current.replace_segment == original
    assert world.api.put("/data", edit).result == "1 item(s) updated"
    assert world.read(query="count") == 4 and [one["id"] for one in world.read()].count(ids[0]) == 1
    (moved,) = world.read(ids=ids[0])
    assert moved["time"].startswith("2026-09-21T09:00")


def test_parameter_that_is_deleted_while_it_is_changed_stays_deleted(world, rival):
    path = f"/device/{world.device}/params"
    world.admin.post(path, {"key": "a", "value": "b"})
    (param,) = world.admin.get(path).result
    rival("write_all", 1, lambda: world.admin.delete(f"{path}/{param['id']}"))
    assert world.api.put(f"/device/params/{param['id']}").status == 404
    if not store.current().is_exclusive:  # on SQLite the rival is part of the request that was undone
        assert world.admin.get(path).result == []


def test_parameter_that_two_change_at_once_keeps_both_changes(world, rival):
    path = f"/device/{world.device}/params"
    world.admin.post(path, {"key": "a", "value": "b"})
    (param,) = world.admin.get(path).result
    rival("write_all", 1, lambda: world.api.put(f"/device/params/{param['id']}", {"sent": True}))
    assert world.admin.post(path, {"id": param["id"], "value": "c"}).status == 200
    assert world.admin.get(path).result == [param | {"value": "c", "sent": True}]


def test_delete_of_what_was_removed_and_put_again_meanwhile_removes_nothing(world):
    sent, ids = filled_again(world)
    old = store.current().get_segment(world.device, ids[0][:20])
    world.admin.post(f"/device/{world.device}/empty")
    assert world.send(*sent) == "4 Data Added"
    new = store.current().get_segment(world.device, ids[0][:20])
    assert new.digest == old.digest and new.version > old.version > 1
    assert not store.current().delete_segment(old, profile=world.profile)
    assert not store.current().replace_segment(old._replace(version=old.version + 1), profile=world.profile)
    assert world.read(query="count") == 4
