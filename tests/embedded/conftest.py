import pytest

from chalicelib import store as stores
from chalicelib.store.sqlite import SqliteStore
from tests.kit.world import World, point


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
