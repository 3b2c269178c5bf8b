"""The price plans of plans.json, and those that the settings add."""

import json

import pytest

from chalicelib.services.accounts import profiles
from chalicelib.services.usage import limits, plans


def test_each_built_in_plan_gives_at_least_as_much_as_the_smaller_one():
    free, starter, scale = (plans.load()[name] for name in ("free", "starter", "scale"))
    for small, large in ((free, starter), (starter, scale)):
        for part in ("resources", "quotas"):
            fewer, more = getattr(small, part), getattr(large, part)
            assert fewer.keys() == more.keys() and all(fewer[name] <= more[name] for name in fewer)
    assert plans.load()["unlimited"].resources == plans.load()["unlimited"].quotas == {}


@pytest.mark.parametrize("is_file", [False, True])
def test_the_settings_add_a_plan_and_change_another(configure, tmp_path, is_file):
    text = json.dumps(
        {
            "own": {"like": "scale", "resources": {"device": 500, "action": None}},
            "free": {"like": "free", "quotas": {"input": 7}},
            "quick": {"like": "free", "per_minute": {"POST /data": 3}},
        }
    )
    if is_file:
        (tmp_path / "plans.json").write_text(text)
    configure(plans=str(tmp_path / "plans.json") if is_file else text, default_plan="own")
    known = plans.load()
    assert known["own"].resources["device"] == 500 and "action" not in known["own"].resources
    assert known["own"].quotas == known["scale"].quotas
    assert known["free"].quotas["input"] == 7 and known["free"].quotas["output"] == 3_000_000
    assert known["quick"].limit("POST /data") == 3 and known["quick"].limit("GET /data") == 250


def test_new_profiles_get_the_default_plan(each_store, configure):
    configure(plans='{"own": {"quotas": {"input": 5}}}', default_plan="own")
    profile, _ = profiles.create(name="a")
    assert limits.of(profile).figures == plans.load()["own"]
    gone, _ = profiles.create(name="a", plan="gone")
    assert limits.of(gone).figures == plans.load()["own"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/no/such/file", "DECANT_PLANS cannot be read: No such file or directory: /no/such/file"),
        ("{", "DECANT_PLANS is not JSON: "),
        ('{"a b": {}}', "'a b' must be a word, with an object of figures"),
        ('{"own": 5}', "'own' must be a word, with an object of figures"),
        ('{"own": {"like": "big"}}', "like of own must be free or starter or scale or unlimited, not 'big'"),
        ('{"own": {"device": 5}}', "own must hold per_minute, others_per_minute"),
        ('{"own": {"resources": 5}}', "own: resources must be an object with figures by name"),
        ('{"own": {"resources": {"devices": 5}}}', "own: resources does not know 'devices', only device, action"),
        ('{"own": {"quotas": {"input": -1}}}', "own: quotas input must be a whole number from 0 on, or null"),
        ('{"own": {"quotas": {"input": "5"}}}', "not '5'"),
        ('{"own": {"quotas": {"input": true}}}', "not True"),
        ('{"own": {"per_minute": {"POST /data": 3}}}', "own: per_minute must name every rate"),
        ('{"own": {"requests_per_month": 1.5}}', "own: requests_per_month must be a whole number"),
    ],
)
def test_bad_figures_are_refused_with_a_text_that_names_them(configure, text, reason):
    configure(plans=text)
    with pytest.raises(ValueError) as refused:
        plans.load()
    assert reason in str(refused.value)


def test_an_unknown_default_plan_is_refused(configure):
    configure(default_plan="huge")
    with pytest.raises(
        ValueError, match="DECANT_DEFAULT_PLAN must be free or starter or scale or unlimited, not 'huge'"
    ):
        plans.load()


def test_the_embedded_mode_refuses_bad_plans_at_its_start(monkeypatch):
    from embedded.settings import load

    monkeypatch.setenv("DECANT_PLANS", '{"own": {"quotas": {"input": -1}}}')
    with pytest.raises(ValueError, match="own: quotas input must be a whole number"):
        load()
