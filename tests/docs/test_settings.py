"""docs/settings.md lists all settings, and the code reads no other variable."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from chalicelib import settings
from embedded import settings as embedded_settings
from embedded import settings_page

ROOT = Path(__file__).parents[2]
DOCUMENTED = set(re.findall(r"^\| `(DECANT_[A-Z_]+)` \|", settings_page.PATH.read_text(), re.MULTILINE))
SOURCES = [ROOT / "app.py"]
SOURCES += [path for part in ("chalicelib", "embedded", "deploy", "bench") for path in (ROOT / part).rglob("*.py")]
MODELS = [(settings, settings.Settings), (embedded_settings, embedded_settings.EmbeddedSettings)]
ODD = {
    "synchronous": ("normal", "NORMAL"),
    "scalar_as_list": ("1", "true"),
    "max_inflated_bytes": ("2000000", 2_000_000),
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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HTTP_PORT", "abc"),
        ("MQTT_PORT", "65536"),
        ("MQTTS_PORT", "-1"),
        ("SYNCHRONOUS", "fast"),
        ("HTTP_PORT", "8_000"),
    ],
)
def test_setting_that_breaks_a_rule_is_named(monkeypatch, name, text):
    monkeypatch.setenv(f"DECANT_{name}", text)
    with pytest.raises(ValueError, match=f"DECANT_{name} must be"):
        embedded_settings.load()


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
