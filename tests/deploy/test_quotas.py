"""The table of quotas: its form, its place in the manual, and what the manual concludes from it."""

from deploy import pricing, quotas, spec, throttles


def test_table_in_the_manual_is_that_of_the_file():
    text = quotas.PAGE.read_text()
    assert text == quotas.updated(text), "python -m deploy.quotas writes it"
    assert "| IoT Core | MQTT connects a second, of the account." in text


def test_each_quota_is_of_a_service_and_has_a_source_of_aws():
    for quota in quotas.load().values():
        services = ("IoT Core", "API Gateway", "Lambda", "DynamoDB", "SQS", "CloudWatch Logs", "SSM")
        assert quota.service in services and quota.figure > 0
        assert quota.source.startswith(("https://docs.aws.amazon.com/", "https://repost.aws/"))


def test_connects_are_limited_by_the_quota_and_not_by_the_authorizer():
    connects, a_call = (quotas.load()[name].figure for name in ("iot_connects", "lambda_synchronous"))
    at_a_time = spec.FUNCTIONS["iot-authorizer"].concurrency
    assert connects == 500 <= at_a_time * min(a_call, 1000 / connect_ms())
    text = " ".join(quotas.PAGE.read_text().split())
    assert f"accepts {connects} connects a second by default" in text
    assert f"Fifty calls at a time are no more than {at_a_time * a_call} a second" in text


def connect_ms():
    """Return the run time of the authorizer at a first connect, with two look-ups."""
    more_ms = pricing.cpu_ms("iot-authorizer", "store_call") * 2
    return pricing.run_ms("iot-authorizer", "mqtt_refresh", pricing.measured()["first_connect"]["calls"]) + more_ms


def test_a_stage_accepts_no_more_than_its_account():
    assert quotas.load()["gateway_requests"].figure >= throttles.REQUESTS_PER_SECOND
