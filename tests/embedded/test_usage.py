"""Quotas and statistics of the complete program: kept over a restart, and output that is written at the end."""

import json


def test_quotas_output_and_statistics_outlive_the_program(start):
    plans = {"own": {"quotas": {"input": 1}}}
    settings = {"DECANT_PLANS": json.dumps(plans), "DECANT_DEFAULT_PLAN": "own"}
    first = start(**settings)
    assert first.call("POST", "/data", body={"variable": "a", "value": 5}) == "1 Data Added"
    assert first.call("POST", "/data", body={"variable": "a", "value": 6}) == 402
    assert len(first.call("GET", "/data")) == 1
    assert first.stop()[0] == 0
    again = start(**settings)
    assert again.call("POST", "/data", body={"variable": "a", "value": 6}) == 402
    device = again.call("GET", "/info")
    assert device["last_output"] is not None
    path = f"/device/{device['id']}/statistics"
    (now, *_) = again.call("GET", path, token=again.profile_token)
    assert (now["device_input"], now["device_output"]) == (1, 1)


def test_a_bad_plan_ends_the_start_with_a_text(tmp_path):
    from tests.program import Program

    program = Program(tmp_path / "data", DECANT_PLANS='{"own": {"quotas": {"input": -1}}}')
    _, text = program.close()
    assert "Cannot start: DECANT_PLANS: own: quotas input must be a whole number from 0 on" in text
