"""The deployer uses the price plans that the functions of a stage have."""

import json

import pytest

from chalicelib.services.usage import plans
from deploy import chalice
from deploy.parts import RefusedError


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Return a function that writes the environment variables of stage dev."""
    monkeypatch.setattr(chalice, "FOLDER", tmp_path)

    def write(**variables):
        config = {"stages": {"dev": {"environment_variables": variables}}}
        (tmp_path / "config.json").write_text(json.dumps(config))

    write()
    return write


def test_plans_of_the_stage_are_used(stage):
    stage(DECANT_PLANS='{"own": {"like": "scale", "resources": {"device": 7}}}', DECANT_DEFAULT_PLAN="own")
    chalice.use_plans("dev")
    assert plans.load()["own"].resources["device"] == 7 and plans.default() == "own"
    stage()
    chalice.use_plans("dev")
    assert "own" not in plans.load() and plans.default() == "unlimited"
    chalice.use_plans("unknown")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"DECANT_PLANS": "plans.json"}, "must be JSON"),
        ({"DECANT_PLANS": "{"}, "is not JSON"),
        ({"DECANT_DEFAULT_PLAN": "gone"}, "gone"),
    ],
)
def test_plans_that_the_functions_could_not_read_are_refused(stage, variables, reason):
    stage(**variables)
    with pytest.raises(RefusedError, match=reason):
        chalice.use_plans("dev")
