import asyncio

import pytest

from app import app
from chalicelib import store as stores
from chalicelib.store.sqlite import SqliteStore
from embedded.commits import GroupCommit
from embedded.gateway import Gateway
from tests.kit.link import Link
from tests.kit.world import World, point


@pytest.fixture
def serve(sqlite):
    """Return a function that runs a test's coroutine with the gateway over SQLite."""

    def do(scenario, disk=None, **kwargs):
        async def run():
            try:
                return await scenario(Gateway(app, list(app.routes), GroupCommit(sqlite, disk=disk), **kwargs))
            finally:
                await Link.lose_all()

        try:
            return asyncio.run(run())
        finally:
            sqlite.grouped, sqlite.on_begin = False, lambda: None

    return do


@pytest.fixture
def data(tmp_path):
    """A data folder with some points, stopped cleanly."""
    directory = tmp_path / "data"
    directory.mkdir()
    store = SqliteStore(directory / "decant.db")
    stores.use(store)
    world = World()
    for number in range(40):
        world.send(*[point(f"v{number}", "x" * 200 + str(index)) for index in range(40)])
    store.close()
    (directory / "secret").write_text("0" * 64)
    assert not (directory / "decant.db-wal").exists()
    return directory
