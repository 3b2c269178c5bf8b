"""The rules of the source: which modules may import which, how expressions are made, and what an import loads."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "chalicelib").rglob("*.py"))
FLOORS = (
    ("chalicelib", "errors", "host", "host.slot", "host.clock"),
    ("codec",),
    ("sandbox",),
    ("settings",),
    (
        "host.api_keys",
        "host.aws",
        "host.bucket",
        "host.cache",
        "host.dead_letters",
        "host.deadline",
        "host.events",
        "host.failures",
        "host.files",
        "host.jobs",
        "host.keys",
        "host.log",
        "host.mail",
        "host.mqtt",
        "host.outside",
        "host.queues",
        "host.sealer",
        "host.secret",
        "host.topics",
        "host.webhooks",
    ),
    ("schemas",),
    ("store",),
    ("services", "services.entities"),
    ("services.usage",),
    ("services.points",),
    ("services.access",),
    ("services.devices",),
    ("services.accounts",),
    ("functions",),
    ("http",),
    ("openapi",),
    ("routes",),
)  # fmt: skip
"""Modules and packages of chalicelib, from the lowest floor up. A module imports from its own floor and from below."""
WHOLE = ("codec", "sandbox", "schemas", "store", "services.usage", "services.points", "services.access", "services.devices",
         "services.accounts", "functions", "http", "openapi", "routes")  # fmt: skip
"""Packages whose modules are all on the package's floor. Other modules must be listed by their own name."""
NEEDED = {
    "annotated_types",
    "app",
    "chalice",
    "chalicelib",
    "orjson",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}
"""Every top-level module that an import of app.py may load, besides the standard library."""
UNNEEDED = {"asyncio", "boto3", "botocore", "fastapi", "multiprocessing", "pynamodb", "sqlite3", "unittest", "uvicorn"}


def floor_of(module):
    """Return the number of a module's floor; KeyError if it has none."""
    name = module.removeprefix("chalicelib.")
    for number, floor in enumerate(FLOORS):
        for listed in floor:
            if name == listed or (listed in WHOLE and name.startswith(f"{listed}.")):
                return number
    raise KeyError(f"{module} has no floor: give it one in FLOORS")


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def imports(path, is_at_start=False):
    """Yield the imports of a file as ``module.name``; with ``is_at_start``, without those inside functions."""
    tree = ast.parse(path.read_text())
    for node in tree.body if is_at_start else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name


def imported_modules(path, is_at_start=False):
    """Yield the modules of chalicelib that a file imports: ``from package import name`` may name a module or an object."""
    for imported in imports(path, is_at_start):
        parts = imported.split(".")
        names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        yield from [name for name in names if name in MODULES][:1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    module = module_of(path)
    own = floor_of(module)
    for name in imports(path):
        assert name.split(".")[0] not in ("embedded", "deploy", "guest", "bench", "tests", "app"), (
            f"{module} imports {name}"
        )
        if module.startswith("chalicelib.services."):
            beside = ("chalice.", "botocore", "pynamodb", "sqlite3", "chalicelib.http")
            backends = tuple(f"chalicelib.store.{part}" for part in ("calls", "dynamodb", "models", "sqlite"))
            assert not name.startswith((*beside, *backends)), f"{module} imports {name}"
        if module.startswith("chalicelib.codec."):
            assert not name.startswith(("chalicelib.settings", "chalicelib.store", "os", "socket")), name
    for name in imported_modules(path):
        assert floor_of(name) <= own, f"{module} imports {name}, which is on a higher floor"


def test_a_module_without_a_floor_fails():
    for module in ("chalicelib.helpers", "chalicelib.services.utils", "chalicelib.host.misc", "chalicelib.web.page"):
        with pytest.raises(KeyError, match="has no floor"):
            floor_of(module)
    assert all(listed == "chalicelib" or (ROOT / "chalicelib" / listed.replace(".", "/")).is_dir() for listed in WHOLE)


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: set(imported_modules(path, is_at_start=True)) - {module} for module, path in MODULES.items()}
    while leaves := [module for module, needs in graph.items() if not needs & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert not graph, f"in or above a circle: {sorted(graph)}"


@pytest.mark.parametrize("folder", ["embedded", "deploy"])
def test_the_two_ways_to_run_do_not_know_each_other(folder):
    others = {"embedded": "deploy", "deploy": "embedded"}[folder], "tests", "bench"
    for path in (ROOT / folder).rglob("*.py"):
        assert not [name for name in imports(path) if name.split(".")[0] in others], path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_short(path):
    assert len(path.read_text().splitlines()) <= 350


def constants(node):
    return [part.value if isinstance(part, ast.Constant) else " " for part in node.values]


def test_expressions_of_dynamodb_are_fixed_text():
    tree = ast.parse((ROOT / "chalicelib/store/dynamodb.py").read_text())
    fixed = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
    }
    made = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and re.search(r"(^|[ (])[#:]\w", "".join(constants(node)))
    ]
    for text in made:
        names = [part.value for part in text.values if isinstance(part, ast.FormattedValue)]
        assert all(isinstance(name, ast.Name) and name.id in fixed for name in names), ast.unparse(text)
    assert "ConditionExpression" in ast.unparse(tree) and "_FIRST" in fixed


def test_import_of_the_app_pulls_in_only_what_a_request_needs():
    code = (
        "import sys; before = set(sys.modules); import app, json; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    top = {name.split(".")[0] for name in loaded}
    assert {name for name in top if name not in sys.stdlib_module_names and not name.startswith("_")} <= NEEDED
    assert not loaded & UNNEEDED
    assert not [name for name in loaded if name.startswith("chalicelib.openapi")]


def loaded_by(module):
    code = f"import sys, {module}, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "module", ["authorizer", "iot_authorizer", "iot_ingest", "counters", "housekeeping", "keys", "sealer"]
)
def test_functions_beside_the_handler_load_no_route(module):
    loaded = loaded_by(f"chalicelib.functions.{module}")
    assert not [name for name in loaded if name.startswith(("chalicelib.routes", "chalicelib.http", "app", "deploy"))]
    assert not loaded & {"sqlite3", "boto3"}


def test_authorizer_loads_next_to_nothing():
    loaded = loaded_by("chalicelib.functions.authorizer")
    assert not {name.split(".")[0] for name in loaded} & {"pydantic", "pynamodb", "botocore", "zoneinfo"}


def test_one_request_on_dynamodb_makes_one_client():
    code = """
import os
os.environ.update(AWS_ACCESS_KEY_ID="t", AWS_SECRET_ACCESS_KEY="t", AWS_DEFAULT_REGION="us-east-1")
import botocore.client
made, create = [], botocore.client.ClientCreator.create_client
def counted(self, service_name, *args, **kwargs):
    made.append(service_name)
    return create(self, service_name, *args, **kwargs)
botocore.client.ClientCreator.create_client = counted
from moto import mock_aws
from chalicelib.host import keys, secret
from chalicelib.store.models import EntityModel, SegmentModel
secret.use(b"s")
keys.use(keys.nobody)
with mock_aws():
    for model in (SegmentModel, EntityModel):
        model.create_table()
    from tests.kit.world import World, point
    world = World()
    world.send(point("a"))
    world.read(query="last_value")
    made_by_us = list(made)
print(made_by_us)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['dynamodb']"
