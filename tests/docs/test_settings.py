"""docs/settings.md lists all settings, and the code reads no other variable."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from chalicelib import settings
from embedded import settings as embedded_settings
from embedded import settings_page
from tests.kit.world import World, point

ROOT = Path(__file__).parents[2]
DOCUMENTED = set(re.findall(r"^\| `(DECANT_[A-Z_]+)` \|", settings_page.PATH.read_text(), re.MULTILINE))
SOURCES = [ROOT / "app.py"]
SOURCES += [path for part in ("chalicelib", "embedded", "deploy", "bench") for path in (ROOT / part).rglob("*.py")]
MODELS = [(settings, settings.Settings), (embedded_settings, embedded_settings.EmbeddedSettings)]
ODD = {
    "synchronous": ("normal", "NORMAL"),
    "sign_up": ("OPEN", "open"),
    "email": ("a@x.org", "a@x.org"),
    "password": ("12345678", "12345678"),
    "scalar_as_list": ("1", "true"),
    "max_inflated_bytes": ("2000000", 2_000_000),
    "password_memory_kib": ("65536", 65_536),
    "profile_token": ("0f4c1d5e-8a3b-4d2c-9e1f-5a6b7c8d9e0f", "0f4c1d5e-8a3b-4d2c-9e1f-5a6b7c8d9e0f"),
    "device_token": ("0f4c1d5e-8a3b-4d2c-9e1f-5a6b7c8d9e0f", "0f4c1d5e-8a3b-4d2c-9e1f-5a6b7c8d9e0f"),
}
"""A text of each setting that does not take any text, and its value."""
each_model = pytest.mark.parametrize(("module", "model"), MODELS, ids=["api", "embedded"])


@dataclass
class Silent:
    name: str = ""


def test_page_is_what_the_generator_writes():
    assert settings_page.PATH.read_text() == settings_page.page(), "run `make docs`"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_variable_that_is_named_in_the_code_is_documented(path):
    assert set(re.findall(r"DECANT_[A-Z][A-Z_]*", path.read_text())) <= DOCUMENTED


@each_model
def test_every_field_is_read_from_its_variable(monkeypatch, module, model):
    for field in fields(model):
        kind = str if field.default is None else type(field.default)
        text, value = ("0", False) if field.default is True else ("1", kind("1"))
        if field.name in ODD:
            text, value = ODD[field.name]
        with monkeypatch.context() as patch:
            patch.setenv(f"DECANT_{field.name.upper()}", text)
            assert getattr(module.load(), field.name) == value


@each_model
def test_defaults_are_those_of_the_model(monkeypatch, module, model):
    for name in DOCUMENTED:
        monkeypatch.delenv(name, raising=False)
    assert module.load() == model()


def test_empty_variables_of_the_embedded_mode_count_as_not_set(monkeypatch):
    for field in fields(embedded_settings.EmbeddedSettings):
        monkeypatch.setenv(f"DECANT_{field.name.upper()}", "")
    assert embedded_settings.load() == embedded_settings.EmbeddedSettings()


def test_a_field_without_a_docstring_is_refused():
    with pytest.raises(ValueError, match=r"Silent\.name has no docstring"):
        list(settings_page.rows(Silent))


@pytest.mark.parametrize("text", ["abc", "65536", "-1", "8_000", "8000.0", "\u0663", "9" * 5_000])
@pytest.mark.parametrize("name", ["DECANT_HTTP_PORT", "DECANT_MQTT_PORT", "DECANT_MQTTS_PORT"])
def test_port_that_is_none_is_named(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError) as caught:
        embedded_settings.load()
    assert str(caught.value) == f"{name} must be a whole number from 0 to 65535, not {text!r}"


@pytest.mark.parametrize("text", ["maybe", "2", "ja", "tru"])
def test_flag_that_is_neither_true_nor_false_is_named(monkeypatch, text):
    for field in fields(settings.Settings):
        if isinstance(field.default, bool):
            with monkeypatch.context() as patch:
                patch.setenv(settings.variable(field.name), text)
                with pytest.raises(
                    ValueError, match=f"{settings.variable(field.name)} must be true or false, not '{text}'"
                ):
                    settings.load()


@pytest.mark.parametrize(
    ("text", "value"),
    [("", "auto"), ("AUTO", "auto"), ("true", "true"), ("on", "true"), ("0", "false"), ("no", "false")],
)
def test_scalar_as_list_is_a_flag_or_auto(monkeypatch, text, value):
    monkeypatch.setenv("DECANT_SCALAR_AS_LIST", text)
    assert settings.load().scalar_as_list == value


@pytest.mark.parametrize("text", ["199999", "2000001", "1e6", "-1", "all"])
def test_inflated_size_has_bounds(monkeypatch, text):
    monkeypatch.setenv("DECANT_MAX_INFLATED_BYTES", text)
    with pytest.raises(ValueError, match="DECANT_MAX_INFLATED_BYTES must be"):
        settings.load()


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), ("yes", True), ("On", True), ("0", False), ("no", False), ("OFF", False)],
)
def test_flag_in_every_spelling(monkeypatch, text, value):
    monkeypatch.setenv("DECANT_DEDUPE", text)
    assert settings.load().dedupe is value


@pytest.mark.parametrize("text", ["full", "FULL", "Full"])
def test_synchronous_in_any_case(monkeypatch, text):
    monkeypatch.setenv("DECANT_SYNCHRONOUS", text)
    assert embedded_settings.load().synchronous == "FULL"


def test_synchronous_that_is_neither_is_named(monkeypatch):
    monkeypatch.setenv("DECANT_SYNCHRONOUS", "fast")
    with pytest.raises(ValueError, match=r"DECANT_SYNCHRONOUS must be FULL or NORMAL, not 'fast'"):
        embedded_settings.load()


def test_unknown_setting_is_named_with_the_nearest_one(monkeypatch, capsys):
    for name in [name for name in os.environ if name.startswith("DECANT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DECANT_HTTP_PROT", "1")
    monkeypatch.setenv("DECANT_DEDUP", "1")
    monkeypatch.setenv("DECANT_XYZ", "1")
    assert list(settings.unknown(settings.Settings, embedded_settings.EmbeddedSettings)) == [
        "DECANT_DEDUP is not a setting, do you mean DECANT_DEDUPE?",
        "DECANT_HTTP_PROT is not a setting, do you mean DECANT_HTTP_PORT?",
        "DECANT_XYZ is not a setting",
    ]
    settings.use(None)
    assert settings.current().dedupe and len(capsys.readouterr().out.splitlines()) == 3


def test_wrong_setting_on_aws_is_500_and_the_log_names_it(monkeypatch, sqlite, caplog):
    world = World()
    monkeypatch.setenv("DECANT_DEDUPE", "maybe")
    settings.use(None)
    assert world.api.post("/data", point("a")).status == 500
    assert "DECANT_DEDUPE must be true or false, not 'maybe'" in caplog.text


def test_settings_load_nothing_that_the_authorizer_has_not():
    code = "import sys, chalicelib.settings; print([name for name in ('pydantic', 'difflib', 'pathlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
