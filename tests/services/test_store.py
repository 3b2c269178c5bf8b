"""The Store protocol, on both stores."""

import pytest

from chalicelib.codec import keys
from chalicelib.codec.segment import Item
from chalicelib.store import ABSENT, Conflict, Entity
from tests.kit.clock import NOW_MS

DEVICE, PROFILE = "d" * 24, "p" * 24


def item(at_s, suffix=0, body=b"{}", **changes):
    key = keys.segment_key(at_s * 1000, suffix)
    return Item(DEVICE, key, body, b"digest", 2, 1, None)._replace(**changes)


def put(store, *items):
    return store.put_segments(items, profile=PROFILE, now_ms=NOW_MS)


def scan(store, low="0", high="g", newest_first=True, first_page=4):
    return list(store.scan_segments(DEVICE, low, high, newest_first=newest_first, first_page=first_page))


def test_put_segments_of_free_keys_then_get(each_store):
    one, two = item(1), item(2)
    assert put(each_store, one, two) == {}
    assert each_store.get_segment(DEVICE, one.key) == one and each_store.get_segment(DEVICE, two.key) == two
    assert each_store.get_segment("e" * 24, one.key) is None


def test_put_segments_on_a_taken_key_returns_the_existing_item(each_store):
    one = item(1)
    put(each_store, one)
    other = one._replace(body=b"other", digest=b"another")
    assert put(each_store, other, item(2)) == {0: one}
    assert each_store.get_segment(DEVICE, one.key) == one
    assert each_store.counters(PROFILE, DEVICE).records == 4


def test_segments_exist_until_they_are_removed(each_store, clock):
    gone = item(1, expires_at=NOW_MS // 1000 - 1)
    put(each_store, gone)
    assert each_store.get_segment(DEVICE, gone.key) == gone and scan(each_store) == [gone]
    assert each_store.count_points(DEVICE, "0", "g") == 2
    assert put(each_store, item(1))[0]._replace(expires_at=gone.expires_at) == gone


def test_set_expiry_changes_nothing_else_and_brings_nothing_back(each_store):
    one = item(1)
    put(each_store, one)
    for expires_at in (NOW_MS // 1000, 5, 5, None):
        each_store.set_expiry(DEVICE, one.key, expires_at)
        assert scan(each_store) == [one._replace(expires_at=expires_at)]
    each_store.set_expiry(DEVICE, item(2).key, 7)
    assert scan(each_store) == [one] and each_store.counters(PROFILE, DEVICE).records == 2


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("first_page", [1, 2, 5, 100])
def test_scan_segments_in_order_across_pages(each_store, newest_first, first_page):
    items = [item(at) for at in range(-20, 20)]
    put(each_store, *items)
    low, high = keys.segment_key(-15_000, 0), keys.segment_key(14_000, 0)
    expected = items[5:35]
    assert scan(each_store, low, high, newest_first, first_page) == (expected[::-1] if newest_first else expected)


def test_scan_segments_reads_no_further_than_it_is_asked(each_store):
    put(each_store, *[item(at) for at in range(300)])
    found = each_store.scan_segments(DEVICE, "0", "g", newest_first=True, first_page=4)
    assert next(found).key == item(299).key
    put(each_store, item(300), item(5, suffix=1))
    assert sum(1 for _ in found) in (299, 300)


def test_replace_segment_only_over_the_version_before(each_store):
    one = item(1)
    put(each_store, one)
    second = one._replace(version=2, body=b"second", points=5)
    assert each_store.replace_segment(second, profile=PROFILE)
    assert each_store.replace_segment(second, profile=PROFILE)  # its own write, met again after a lost answer
    assert not each_store.replace_segment(second._replace(body=b"other"), profile=PROFILE)
    assert not each_store.replace_segment(item(9, version=2), profile=PROFILE)
    assert each_store.get_segment(DEVICE, one.key) == second and each_store.counters(PROFILE, DEVICE).records == 5


def test_delete_segment_only_of_its_version(each_store):
    one = item(1)
    put(each_store, one)
    assert not each_store.delete_segment(one._replace(version=2), profile=PROFILE)
    assert each_store.delete_segment(one, profile=PROFILE)
    assert each_store.delete_segment(one, profile=PROFILE)  # the same, of a delete
    assert each_store.get_segment(DEVICE, one.key) is None and each_store.counters(PROFILE, DEVICE).records == 0


def test_drop_segments_of_a_range_only(each_store):
    put(each_store, *[item(at) for at in range(60)])
    low, high = keys.segment_key(10_000, 0), keys.segment_key(49_000, 0)
    assert each_store.drop_segments(DEVICE, low, high, profile=PROFILE) == 80
    assert each_store.drop_segments(DEVICE, low, high, profile=PROFILE) == 0
    assert len(scan(each_store)) == 20 and each_store.counters(PROFILE, DEVICE).records == 40


def test_put_entity_by_version(each_store):
    first = Entity("owner", "name", {"a": [1, None, "ü"]})
    assert each_store.put_if(first, version=ABSENT) is None
    assert each_store.put_if(first, version=ABSENT) is None  # its own write, met again after a lost answer
    assert each_store.put_if(first._replace(doc={"a": 1}), version=ABSENT) == Conflict(first)
    second = first._replace(doc={"b": 2}, version=2)
    assert each_store.put_if(second, version=5) == Conflict(first)
    assert each_store.put_if(second, version=1) is None
    assert each_store.get("owner", "name") == second == each_store.get("owner", "name", is_consistent=False)
    assert each_store.put_if(first._replace(name="none"), version=3) == Conflict(None)
    assert each_store.get("owner", "none") is None
    each_store.put(first)
    assert each_store.get("owner", "name") == first


def test_expired_entity_does_not_exist(each_store, clock):
    gone = Entity("owner", "name", {}, 1, NOW_MS // 1000)
    each_store.put(gone)
    assert each_store.get("owner", "name") is None and each_store.list("owner", "") == []
    fresh = gone._replace(doc={"is": "new"}, expires_at=None)
    assert each_store.put_if(fresh, version=ABSENT) is None
    assert each_store.get("owner", "name") == fresh


def test_list_entities_by_prefix_in_order(each_store):
    for owner, name in (("one", "b#2"), ("one", "b#1"), ("one", "a#1"), ("one", "c"), ("two", "b#3")):
        each_store.put(Entity(owner, name, {}))
    assert [one.name for one in each_store.list("one", "b#")] == ["b#1", "b#2"]
    assert [one.name for one in each_store.list("one", "")] == ["a#1", "b#1", "b#2", "c"]
    assert each_store.list("three", "") == []


def test_newest_entities_come_first_and_only_as_many_as_are_asked_for(each_store, clock):
    for number in range(20):
        each_store.put(Entity("one", f"{number:02d}", {"number": number}))
    each_store.put(Entity("one", "12", {}, 1, NOW_MS // 1000))  # it has expired
    each_store.put(Entity("two", "11", {}))
    found = each_store.newest("one", "09", "13", first_page=2)
    assert next(found) == Entity("one", "13", {"number": 13})
    assert [one.name for one in found] == ["11", "10", "09"]
    assert [*each_store.newest("three", "0", "~", first_page=2)] == []


def test_delete_entities_with_absent_and_repeated_names(each_store):
    for number in range(60):
        each_store.put(Entity("one", f"{number:02d}", {}))
    each_store.delete("one", [*(f"{number:02d}" for number in range(55)), "00", "absent"])
    assert [one.name for one in each_store.list("one", "")] == ["55", "56", "57", "58", "59"]
    each_store.delete("one", [])


def test_sqlite_touch_notes_the_last_input(sqlite):
    put(sqlite, item(1))
    sqlite.touch(DEVICE, profile=PROFILE, now_ms=NOW_MS + 5)
    assert sqlite.counters(PROFILE, DEVICE) == (2, 2, NOW_MS + 5)


def test_sqlite_survives_being_opened_again(sqlite, tmp_path):
    from chalicelib.store.sqlite import SqliteStore

    put(sqlite, item(1))
    again = SqliteStore(tmp_path / "decant.db")
    assert again.get_segment(DEVICE, item(1).key) == item(1) and again.counters(PROFILE, DEVICE).records == 2
    again.close()
