"""The table of quotas: its form, its place in the manual, and what the manual concludes from it."""

from deploy import pricing, quotas, spec, throttles


def connect_ms():
    more_ms = pricing.cpu_ms("iot-authorizer", "store_call") * 2
    return pricing.run_ms("iot-authorizer", "mqtt_refresh", pricing.measured()["first_connect"]["calls"]) + more_ms


def test_table_in_the_manual_is_that_of_the_file():
    text = quotas.PAGE.read_text()
    assert text == quotas.updated(text), "python -m deploy.quotas writes it"
    assert "| IoT Core | MQTT connects a second, of the account." in text


def test_each_quota_is_of_a_service_and_has_a_source_of_aws():
    for quota in quotas.load().values():
        assert quota.service in ("IoT Core", "API Gateway", "Lambda", "DynamoDB") and quota.figure > 0
        assert quota.source.startswith(("https://docs.aws.amazon.com/", "https://repost.aws/"))


def test_connects_are_limited_by_the_quota_and_not_by_the_authorizer():
    connects = quotas.load()["iot_connects"].figure
    at_a_time = spec.FUNCTIONS["iot-authorizer"].concurrency
    a_second = at_a_time / connect_ms() * 1000
    assert connects == 500 < a_second
    text = " ".join(quotas.PAGE.read_text().split())
    assert f"accepts {connects} connects a second by default" in text
    assert f"of some {round(connect_ms(), -1):.0f} ms each are about {round(a_second, -2):.0f} a second" in text


def test_a_stage_accepts_no_more_than_its_account():
    assert quotas.load()["gateway_requests"].figure >= throttles.REQUESTS_PER_SECOND
