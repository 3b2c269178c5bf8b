import dataclasses
import gc
import os

import pytest

os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # with it, each process that a test starts compiles the program again

import botocore.handlers
from moto import mock_aws

from chalicelib import sandbox, settings, store
from chalicelib.host import api_keys, cache, events, files, jobs, keys, log, mail, mqtt, sealer, secret
from chalicelib.host import clock as clock_of_host
from chalicelib.services.accounts import attempts
from chalicelib.services.usage import floods, outputs, rates
from chalicelib.store.dynamodb import DynamoStore
from chalicelib.store.sqlite import SqliteStore
from embedded.files import Folder
from guest import build
from tests.cloud.deployment import is_named
from tests.kit.clock import NOW_MS, Clock
from tests.kit.faults import client, count_hooks
from tests.kit.parsers import Inspector
from tests.kit.policies import record, take_violations
from tests.kit.quick_moto import quicken
from tests.kit.strict_dynamodb import be_strict
from tests.kit.tables import create_tables, empty_tables
from tests.kit.world import Recorder, World
from tests.program import Program

botocore.handlers.BUILTIN_HANDLERS.append(("before-parameter-build", record))
quicken()


def pytest_sessionstart():
    """Build the engine of payload parsers, if it is not there or old."""
    build.ensure(sandbox.target())


def pytest_collection_modifyitems(config, items):
    """Deselect the tests that need a deployment, unless the environment names one."""
    if not is_named():
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("cloud")])
        items[:] = [item for item in items if not item.get_closest_marker("cloud")]


def pytest_collection_finish():
    """Let the garbage collector look no more at what lives as long as the process: modules and tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def dynamodb():
    """moto's DynamoDB with both tables, as strict as DynamoDB itself."""
    with mock_aws():
        create_tables()
        client().meta.events.register("before-parameter-build.dynamodb", be_strict)
        gc.freeze()
        yield


@pytest.fixture(autouse=True)
def clean_process(monkeypatch):
    """Reset the state of the process, and check that the policies allow every call that the functions made."""
    monkeypatch.setattr(clock_of_host, "sleep", lambda _seconds: None)
    log.use(len)
    settings.use(settings.Settings(password_memory_kib=8, password_passes=1))
    secret.use(b"a secret of the tests")
    cache.clear_all()
    outputs.clear()
    mqtt.use(Recorder())
    events.use(None)
    rates.use(None)
    mail.use(None)
    attempts.use(None)
    floods.use(None)
    keys.use(keys.nobody)
    files.use(None)
    jobs.use(jobs.nobody)
    sealer.use(None)
    api_keys.use(None)
    yield
    store.use(None)
    violations = take_violations()
    assert not violations, f"calls that no policy allows:\n{violations}"


@pytest.fixture
def sqlite(tmp_path):
    """An empty SQLite store, and files beside it."""
    sqlite_store = SqliteStore(tmp_path / "decant.db", synchronous="NORMAL")
    files.use(Folder(tmp_path))
    store.use(sqlite_store)
    yield sqlite_store
    sqlite_store.close()


@pytest.fixture
def dynamo(dynamodb, clean_process, tmp_path):
    """An empty DynamoDB store, which does not sleep between retries, and files in a folder."""
    files.use(Folder(tmp_path))
    dynamo_store = DynamoStore(sleep=lambda _seconds: None)
    store.use(dynamo_store)
    hooks = count_hooks()
    yield dynamo_store
    assert count_hooks() == hooks, "a fault outlived its test"
    empty_tables()


@pytest.fixture(params=["sqlite", "dynamo"])
def each_store(request):
    """Each of the two stores."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    return Clock(NOW_MS).install(monkeypatch)


@pytest.fixture
def world(each_store):
    """A profile with a device, in each of the two stores."""
    return World()


@pytest.fixture
def immutable_world(each_store):
    """An immutable device that keeps two days besides the current one."""
    return World(type="immutable", chunk_period="day", chunk_retention=2)


@pytest.fixture
def inspector():
    """What the inspector shows."""
    found = Inspector()
    events.use(found)
    return found


@pytest.fixture
def configure():
    """Change settings for the duration of a test."""

    def change(**values):
        settings.use(dataclasses.replace(settings.current(), **values))

    return change


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the embedded mode as a process. All processes share one data directory."""
    started = []

    def do(**environment):
        started.append(Program(tmp_path / "data", **environment))
        return started[-1]

    yield do
    for program in started:
        if not program.process.stdout.closed:
            program.close()
