import dataclasses
import os

import pytest

os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
)

import botocore.handlers
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends

from chalicelib import settings, store
from chalicelib.host import cache, log, mqtt, secret
from chalicelib.store.dynamodb import DynamoStore
from chalicelib.store.models import EntityModel, SegmentModel
from chalicelib.store.sqlite import SqliteStore
from tests import kit
from tests.cloud.deployment import is_named
from tests.program import Program

botocore.handlers.BUILTIN_HANDLERS.append(("before-parameter-build", kit.record))


def pytest_collection_modifyitems(config, items):
    """Leave out what needs a deployment, unless the environment names one."""
    if not is_named():
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("cloud")])
        items[:] = [item for item in items if not item.get_closest_marker("cloud")]


@pytest.fixture(scope="session")
def dynamodb():
    with mock_aws():
        for model in (SegmentModel, EntityModel):
            model.create_table(wait=True)
        kit.client().meta.events.register("before-parameter-build.dynamodb", kit.be_strict)
        yield


@pytest.fixture(autouse=True)
def clean():
    log.write = len
    settings.use(settings.Settings())
    secret.use(b"a secret of the tests")
    cache.clear_all()
    mqtt.use(kit.Recorder())
    yield
    store.use(None)
    forbidden = [*kit.FORBIDDEN]
    kit.FORBIDDEN.clear()
    assert not forbidden, "a function did what its policy does not allow"


@pytest.fixture
def sqlite(tmp_path):
    here = SqliteStore(tmp_path / "decant.db", synchronous="NORMAL")
    store.use(here)
    yield here
    here.close()


@pytest.fixture
def dynamo(dynamodb, clean):
    here = DynamoStore(sleep=lambda _seconds: None)
    store.use(here)
    hooks = kit.count_hooks()
    yield here
    assert kit.count_hooks() == hooks, "a fault outlived its test"
    for account in dynamodb_backends.values():
        for region in account.values():
            for table in region.tables.values():
                table.items.clear()


@pytest.fixture(params=["sqlite", "dynamo"])
def here(request):
    """Each of the two stores."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def clock(monkeypatch):
    return kit.Clock(kit.NOW_MS).install(monkeypatch)


@pytest.fixture
def world(here):
    return kit.World()


@pytest.fixture
def frozen(here):
    """An immutable device that keeps two days beside the current one."""
    return kit.World(type="immutable", chunk_period="day", chunk_retention=2)


@pytest.fixture
def configure():
    def change(**values):
        settings.use(dataclasses.replace(settings.current(), **values))

    return change


@pytest.fixture
def start(tmp_path):
    started = []

    def do(**environment):
        started.append(Program(tmp_path / "data", **environment))
        return started[-1]

    yield do
    for program in started:
        if not program.process.stdout.closed:
            program.close()
