"""The names of a stage's parts: each is listed, and a misspelt one is an error."""

import pytest

from deploy.names import Names


def test_names_hold_the_stage():
    names = Names("test")
    assert names.segments == "decant-test-segments" and names.entities == "decant-test-entities"
    assert names.dead_letters == "decant-test-dead-letters" and names.failures == "decant-test-failures"
    assert names.mqtt == "decant-test-mqtt" and names.rule_errors == "decant-test-rule-errors"
    assert (
        names.secret_parameter == "/decant/test/secret"
        and names.api == "decant-test"
        and names.usage_plan("free") == "decant-test-free"
    )


@pytest.mark.parametrize("misspelt", ["segmets", "dead_letter", "failure", "rule_error", "plan"])
def test_name_that_is_not_listed_raises(misspelt):
    with pytest.raises(AttributeError):
        getattr(Names("test"), misspelt)
