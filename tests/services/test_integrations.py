"""Lookups of connectors and networks: whose they are, and what they cost."""

import pytest

from chalicelib import store
from chalicelib.services import entities
from chalicelib.services.devices import catalogue, integrations
from chalicelib.store import names
from tests.kit.world import World

LOOKUPS = [
    (integrations.connector, integrations.CONNECTOR, catalogue.HTTPS_CONNECTOR),
    (integrations.network, integrations.NETWORK, catalogue.HTTPS_NETWORK),
]


@pytest.fixture
def reads(each_store, monkeypatch):
    """The names that are read from the store."""
    read, get = [], each_store.get

    def counted(owner, name, **more):
        read.append(name)
        return get(owner, name, **more)

    monkeypatch.setattr(each_store, "get", counted)
    return read


def make(integration, profile, doc_id="ab" * 12):
    doc = {"id": doc_id, "name": "Own", "profile": profile}
    entities.create(integration.kind, owner=names.profile(profile), doc=doc)
    return doc


@pytest.mark.parametrize(("find", "integration", "built_in"), LOOKUPS, ids=["connector", "network"])
def test_a_profile_finds_its_own_and_the_catalogues_and_no_others(world, find, integration, built_in):
    doc = make(integration, world.profile)
    assert find(world.profile, doc["id"]) == doc
    assert find(world.profile, built_in)["public"] is True
    assert find(World().profile, doc["id"]) is None is find(world.profile, "cd" * 12)
    assert find(world.profile, "not an id") is None is find(world.profile, "")


@pytest.mark.parametrize(("find", "integration", "built_in"), LOOKUPS, ids=["connector", "network"])
def test_a_lookup_reads_once_a_minute_also_what_is_unknown(clock, world, reads, find, integration, built_in):
    doc = make(integration, world.profile)
    reads.clear()
    for doc_id in (doc["id"], "cd" * 12, built_in, "not an id"):
        find(world.profile, doc_id)
    first = [*reads]
    assert {*first} == {integration.kind.prefix + doc["id"], integration.kind.prefix + "cd" * 12} and len(first) <= 3
    for doc_id in (doc["id"], "cd" * 12):
        find(world.profile, doc_id)
    assert reads == first
    store.current().delete(names.profile(world.profile), [integration.kind.prefix + doc["id"]])
    clock.advance(61)
    assert find(world.profile, doc["id"]) is None
