"""The rules of the house, read off the source: who may import whom, how expressions are made, what an import costs."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "chalicelib").rglob("*.py"))
LAYERS = {"codec": 0, "schemas": 1, "store": 1, "services": 2, "auth": 3, "http": 3, "routes": 4}
"""A module may import from its own layer and below; modules that are not listed may be imported by all."""
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
"""Every top-level module beside the standard library's that importing app.py may pull in."""
UNNEEDED = {"asyncio", "boto3", "botocore", "fastapi", "multiprocessing", "pynamodb", "sqlite3", "unittest", "uvicorn"}


def layer_of(module):
    parts = module.split(".")
    return LAYERS.get(parts[1]) if parts[0] == "chalicelib" and len(parts) > 1 else None


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    own = layer_of(module)
    for name in imports(path):
        assert name.split(".")[0] not in ("embedded", "bench", "tests", "app"), f"{module} imports {name}"
        below = layer_of(name)
        if own is not None and below is not None:
            assert below <= own, f"{module} imports {name}"
        if own == LAYERS["services"]:
            assert not name.startswith(("chalice.", "botocore", "pynamodb", "sqlite3", "chalicelib.http")), name
        if own == LAYERS["codec"]:
            assert not name.startswith(("chalicelib.settings", "chalicelib.store", "os", "socket")), name


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


def loaded_by(module):
    code = f"import sys, {module}, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["authorizer", "iot", "counters", "housekeeping"])
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
from chalicelib.host import secret
from chalicelib.store.models import EntityModel, SegmentModel
secret.use(b"s")
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
