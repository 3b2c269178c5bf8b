"""The API document that ``chalice`` makes: authorizer, API keys, the gateway's own answers, preflights."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from chalicelib import routes, sandbox
from chalicelib.http.answers import COMPRESSED_FROM_BYTES, PREFLIGHT
from deploy import chalice, document, runtime, spec
from deploy.names import Names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def template(packaged):
    return json.loads((packaged / "out/sam.json").read_text())


@pytest.fixture(scope="module")
def api(template):
    return template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]


def test_keys_come_from_the_authorizer(api):
    assert api["x-amazon-apigateway-api-key-source"] == "AUTHORIZER"


def test_long_answers_are_compressed(api, template, packaged):
    """Each of the three says so: Chalice's own setting turns off what the document sets, unless it says the same."""
    assert api["x-amazon-apigateway-minimum-compression-size"] == COMPRESSED_FROM_BYTES
    assert template["Resources"]["RestAPI"]["Properties"]["MinimumCompressionSize"] == COMPRESSED_FROM_BYTES
    terraform = json.loads((packaged / "out/terraform/chalice.tf.json").read_text())
    rest_api = terraform["resource"]["aws_api_gateway_rest_api"]["rest_api"]
    assert rest_api["minimum_compression_size"] == COMPRESSED_FROM_BYTES


def test_pages_for_people_need_neither_token_nor_key(api):
    for path in ("/", "/console", "/console/{name}", "/docs"):
        assert set(api["paths"][path]) == {"get", "options"} and "security" not in api["paths"][path]["get"]


def test_no_json_is_a_binary_type_so_that_the_gateway_hands_bodies_over_as_text(api):
    assert not [kind for kind in api["x-amazon-apigateway-binary-media-types"] if "json" in kind or kind == "*/*"]


def test_authorizer_takes_the_whole_request_and_is_not_cached(api):
    found = api["securityDefinitions"]["authorizer"]["x-amazon-apigateway-authorizer"]
    assert found["type"] == "request" and found["authorizerResultTtlInSeconds"] == 0 and "identitySource" not in found


def test_every_route_with_callers_needs_authorizer_and_key(api):
    anonymous = {(row.path, row.method.lower()) for row in routes.ALL if not row.who}
    for path, methods in api["paths"].items():
        for method, found in methods.items():
            needs = {name for one in found.get("security", []) for name in one}
            expected = set() if (path, method) in anonymous or method == "options" else {"authorizer", "api_key"}
            assert needs == expected, (method, path)


def test_every_path_answers_preflight_in_the_envelope(api):
    for methods in api["paths"].values():
        answer = methods["options"]["x-amazon-apigateway-integration"]["responses"]["default"]
        assert json.loads(answer["responseTemplates"]["application/json"]) == {"status": True, "result": None}
        allowed = answer["responseParameters"]["method.response.header.Access-Control-Allow-Headers"]
        assert allowed == f"'{PREFLIGHT['Access-Control-Allow-Headers']}'"
        assert answer["responseParameters"]["method.response.header.X-Request-Id"] == "context.requestId"
        assert "X-Request-Id" in answer["responseParameters"]["method.response.header.Access-Control-Expose-Headers"]
        names = {one["name"] for one in methods["options"].get("parameters", ())}
        assert names == {one["name"] for one in methods.get("get", next(iter(methods.values()))).get("parameters", ())}


def test_gateway_answers_in_the_envelope_with_cors(api):
    answers = api["x-amazon-apigateway-gateway-responses"]
    assert set(answers) == set(document.GATEWAY_RESPONSES)
    for name, answer in answers.items():
        body = json.loads(answer["responseTemplates"]["application/json"])
        assert body["status"] is False and isinstance(body["message"], str)
        is_5xx = name == "DEFAULT_5XX" or answer.get("statusCode", "").startswith("5")
        assert body.get("request_id") == ("$context.requestId" if is_5xx else None)
        assert answer["responseParameters"]["gatewayresponse.header.X-Request-Id"] == "context.requestId"
        assert answer["responseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
        if name == "THROTTLED":
            assert answer["statusCode"] == "429" and body["message"] == "Too many requests (Retry-After: 60)"
            assert answer["responseParameters"]["gatewayresponse.header.Retry-After"] == "'60'"


def test_completing_twice_changes_nothing(api):
    once = json.dumps(document.complete(json.loads(json.dumps(api)), "dev"))
    assert json.loads(once) == document.complete(json.loads(once), "dev")


def test_zip_is_small_and_holds_wheels_of_the_runtime(packaged):
    package = packaged / "out/deployment.zip"
    assert package.stat().st_size <= 36_000_000
    names = zipfile.ZipFile(package).namelist()
    binaries = [name for name in names if name.endswith(".so")]
    assert {re.split(r"[./]", name)[0] for name in binaries} == {
        "pydantic_core",
        "orjson",
        "_cffi_backend",
        "_argon2_cffi_bindings",
        "wasmtime",
    }
    assert f"chalicelib/sandbox/guest.{sandbox.target('x86_64')}.cwasm" in names
    assert "chalicelib/services/devices/decoders/ttn.js" in names
    binaries = [name for name in binaries if not name.startswith("wasmtime/linux-x86_64/")]
    abis = f"cpython-{runtime.VERSION.replace('.', '')}", ".abi3."
    assert all(any(abi in name for abi in abis) for name in binaries)
    assert not {name.partition("/")[0] for name in names} & {
        "deploy",
        "embedded",
        "guest",
        "quickjs_rs",
        "tests",
        "bench",
        "moto",
        "uvicorn",
    }


def test_zip_holds_the_console_with_the_licenses_of_its_packages_and_not_its_sources(packaged):
    if not (packaged / "chalicelib/console/sources").exists():
        pytest.skip("the console could not be built")
    with zipfile.ZipFile(packaged / "out/deployment.zip") as package:
        names = package.namelist()
        text = package.read("chalicelib/console/licenses.txt").decode()
    assert {f"chalicelib/console/{name}" for name in ("index.html", "docs.html", "sources")} <= {*names}
    assert all(f"\n{name} " in f"\n{text}" for name in ("preact", "swagger-ui-dist", "uplot")) and "MIT" in text
    assert not [name for name in names if name.startswith("web/") or "node_modules" in name]


def test_committed_configuration_is_what_the_spec_says():
    folder = ROOT / ".chalice"
    assert json.loads((folder / "config.json").read_text())["stages"]["dev"] == spec.stage_config(Names("dev"))
    for key in spec.FUNCTIONS:
        assert json.loads((folder / f"policy-{key}-dev.json").read_text()) == spec.policy(key, Names("dev"))


def test_configuration_of_another_stage_is_written_beside_dev(tmp_path, monkeypatch):
    shutil.copytree(ROOT / ".chalice", tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(chalice, "FOLDER", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["stages"].pop("prod", None)  # a deployer of stage prod has it
    (tmp_path / "config.json").write_text(json.dumps(config))
    chalice.write_config(Names("prod"))
    written = json.loads((tmp_path / "config.json").read_text())
    assert written == config | {"stages": config["stages"] | {"prod": spec.stage_config(Names("prod"))}}
    for key in spec.FUNCTIONS:
        assert json.loads((tmp_path / f"policy-{key}-prod.json").read_text()) == spec.policy(key, Names("prod"))


def test_git_ignores_the_policies_of_every_stage_but_dev(tmp_path, monkeypatch):
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    subprocess.run([git, "init", "--quiet", str(tmp_path)], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    monkeypatch.setattr(chalice, "FOLDER", tmp_path / ".chalice")
    chalice.FOLDER.mkdir()
    (chalice.FOLDER / "config.json").write_text('{"stages": {}}')
    for stage in ("dev", "prod"):
        chalice.write_config(Names(stage))
    command = [git, "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard", ".chalice"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    policies = [f".chalice/policy-{key}-dev.json" for key in spec.FUNCTIONS]
    assert sorted(listed) == sorted([".chalice/config.json", *policies])


def test_reservation_is_known_from_the_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(chalice, "FOLDER", tmp_path)
    (tmp_path / "config.json").write_text('{"stages": {"new": {"api_gateway_custom_domain": {}}}}')
    assert chalice.reserves("unknown") and chalice.reserves("new")
    for may_reserve in (False, True):
        chalice.write_config(Names("new"), may_reserve=may_reserve)
        assert chalice.reserves("new") is may_reserve


def test_what_a_deployer_adds_to_the_configuration_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(chalice, "FOLDER", tmp_path)
    monkeypatch.setattr(chalice, "ROOT", tmp_path)
    (tmp_path / "config.json").write_text('{"stages": {}}')
    assert (
        len(chalice.write_config(Names("test"))) == 1 + len(spec.FUNCTIONS)
        and chalice.write_config(Names("test")) == []
    )
    found = json.loads((tmp_path / "config.json").read_text())
    found["stages"]["test"] |= {"api_gateway_custom_domain": {}, "api_gateway_stage": "wrong"}
    found["stages"]["test"]["environment_variables"] |= {"DECANT_DEDUPE": "0", "DECANT_SEGMENTS_TABLE": "wrong"}
    (tmp_path / "config.json").write_text(json.dumps(found))
    assert chalice.write_config(Names("test")) == [tmp_path / "config.json"]
    stage = json.loads((tmp_path / "config.json").read_text())["stages"]["test"]
    assert stage["api_gateway_custom_domain"] == {} and stage["api_gateway_stage"] == "api"
    assert stage["environment_variables"] == spec.environment(Names("test")) | {"DECANT_DEDUPE": "0"}


def test_functions_are_those_of_the_spec(template):
    made = {
        found["Properties"]["Handler"]: found["Properties"]
        for found in template["Resources"].values()
        if found["Type"] == "AWS::Serverless::Function"
    }
    assert len(made) == len(spec.FUNCTIONS)
    for found in made.values():
        assert found["Runtime"] == f"python{runtime.VERSION}"
        assert found["Environment"]["Variables"] == spec.environment(Names("dev"))


def test_lambda_does_not_load_the_deployer():
    code = "import sys, app; print('deploy' in sys.modules or 'chalice.deploy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        == "False\n"
    )
