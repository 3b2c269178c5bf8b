"""``python -m deploy scale``: what a fleet needs, which limit comes first, and docs/scale.md."""

import datetime
import math

import pytest

from chalicelib.codec import keys
from deploy import cost, pricing, quotas, scale, scale_page, spec, throttles
from deploy.__main__ import main
from deploy.scale import Fleet, Limit
from deploy.scale_report import name, report
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS
HTTP = Fleet(devices=6_000, every_s=60, batch=1, path="http", months=3, profiles=2)
MQTT = Fleet(devices=450_000, every_s=3_600, batch=60, path="mqtt", months=12, profiles=100)


@pytest.fixture(autouse=True)
def forget():
    """Empty the caches after a test that changes what they hold."""
    caches = scale.limits, scale.needs
    yield
    for cached in caches:
        cached.cache_clear()


def near(**expected):
    return {row: pytest.approx(amount, rel=1e-9) for row, amount in expected.items()}


def part(fleet, *rows):
    needed = scale.needs(fleet)
    return {row.replace(" ", "_"): needed[row] for row in rows}


def row_of(limit):
    return next(row for row in scale.rows(HTTP) + scale.rows(MQTT) if row.limit == limit)


def test_needs_of_a_fleet_are_those_computed_by_hand():
    # 6,000 devices a minute are 100 requests a second. A cache of 60 s helps none of them.
    rows = (
        "requests",
        "authorizer calls",
        "look-ups",
        "segment writes",
        "entity writes",
        "profile writes",
        "profile reads",
    )
    assert part(HTTP, *rows) == near(
        requests=100,
        authorizer_calls=100,
        **{"look-ups": 100},
        segment_writes=100,  # 300 bytes are a unit
        # 100 counters of what is sent, 100 of what expires; in 60 requests, one directory and one hour are kept;
        # four shards call the function once a minute, for both profiles.
        entity_writes=200 + 2 * 100 / 60 + 8 / 60,
        profile_writes=100 + 4 / 60,
        profile_reads=25,  # half a unit to look up a device
    )
    assert part(HTTP, "device writes", "shards") == near(device_writes=1 / 60, shards=4)
    # 100 of the authorizer, 100 of the handler, and 200 changes of the stream in calls of 1,000.
    assert part(HTTP, "synchronous calls") == near(synchronous_calls=200.2)
    assert part(HTTP, "GB of logs a day") == near(GB_of_logs_a_day=100 * 243 * 86_400 / 1e9)
    busy_ms = (200 + 100 / 60 + 8 / 60) * cost.update_ms() + 200 * pricing.cpu_ms("counters", "change") + 0.2
    in_use = [scale.needs(HTTP)[f"running {function}"] for function in ("http", "authorizer", "counters")]
    assert scale.needs(HTTP)["running"] == pytest.approx(50 + sum(in_use)), "50 are reserved for the MQTT authorizer"
    assert part(HTTP, "running counters a shard") == near(running_counters_a_shard=busy_ms / 1000 / 4)


def test_bill_of_a_fleet_is_that_computed_by_hand():
    lines = {line.name: line for line in scale.bill(HTTP)}
    requests = 100 * 2_628_000
    assert lines["API Gateway requests"][1:] == (pytest.approx(requests), pytest.approx(919.80))
    assert lines["DynamoDB writes"].quantity == pytest.approx(requests * 61 / 60)
    assert lines["DynamoDB writes of counters"].quantity == pytest.approx(requests * 2)
    # Three months of items of 300 bytes, and 100 that DynamoDB adds.
    assert lines["DynamoDB storage, GB"][1:] == (pytest.approx(requests * 3 * 400 / 1e9), pytest.approx(78.84))
    assert not any("sealer" in line for line in lines)


def test_volume_discounts_are_those_of_the_last_requests():
    lines = {line.name: line for line in scale.bill(HTTP._replace(devices=1e6))}
    millions = 1e6 / 60 * 2.628
    assert lines["API Gateway requests"].dollars == pytest.approx(millions * 3.5)
    billed = 333 * 3.5 + 667 * 2.8 + 19_000 * 2.38 + (millions - 20_000) * 1.51
    assert lines["Volume discounts"].dollars == pytest.approx(billed - millions * 3.5)
    assert "Volume discounts" not in {line.name for line in scale.bill(HTTP)}


def test_more_profiles_are_more_updates_of_usage_up_to_one_a_change():
    def usage(profiles):
        return next(line.quantity for line in scale.bill(HTTP._replace(profiles=profiles)) if "usage" in line.name)

    calls = 4 * 60 * 730  # each holds 3,000 changes
    assert usage(1) == pytest.approx(calls) and usage(10) == pytest.approx(10 * calls)
    assert (
        usage(6_000) == pytest.approx(calls * 6_000 * (1 - (5_999 / 6_000) ** 3_000)) and usage(6_000) < calls * 3_000
    )


def test_needs_of_mqtt_clients_are_those_computed_by_hand():
    # 450,000 clients, asked every 900 s. A session lasts a day.
    assert part(MQTT, "connected clients", "MQTT authorizer calls", "publishes", "connects") == near(
        connected_clients=450_000, MQTT_authorizer_calls=500, publishes=125, connects=450_000 / 86_400
    )
    assert "requests" not in scale.needs(MQTT) and scale.needs(MQTT)["running"] > 50
    assert scale.enough_for(MQTT, row_of("iot_connections")) == 500_000
    assert scale.enough_for(MQTT, row_of("iot_authorizer_calls")) == 450_000


def test_sealing_doubles_the_writes_and_is_three_messages_a_device_and_day():
    sealed = HTTP._replace(months=7)
    assert not HTTP.is_sealed and sealed.is_sealed and sealed.sealed_a_day == 3
    messages = 6_000 / 86_400
    # 1,440 deletes; three sealed segments of 6,400 bytes, seven units each, put twice in transactions; eight others.
    more = part(sealed, "segment writes")["segment_writes"] - 100
    assert more == pytest.approx(messages * (1_440 + 3 * 7 * 4 + 8))
    assert scale.needs(sealed)["sealer messages"] == pytest.approx(3 * messages)
    assert scale.needs(sealed)["running sealer"] == pytest.approx(1.29, rel=0.01), "12.6 ms a delete"
    assert scale.needs(sealed)["device writes"] > 200, "the sealer works at a device for a while"
    assert sealed._replace(batch=100).why_not_sealed == "as no segment is small"
    assert sealed._replace(every_s=86_400).why_not_sealed == "as a day has fewer than 64 segments"


def test_points_of_a_batch_are_in_several_hours():
    hourly = HTTP._replace(every_s=3_600, batch=60)
    assert HTTP.hours == 1 and hourly.hours == pytest.approx(1 + 59 / 60)
    assert HTTP._replace(every_s=86_400, batch=2).hours == 2
    assert hourly.segments_a_day == pytest.approx(24 * 119 / 60)
    one = {line.name: line.quantity for line in cost.send(points=60, batch=60, path="http", every_s=3_600)}
    two = {line.name: line.quantity for line in cost.send(points=60, batch=60, path="http", every_s=3_600, hours=2)}
    assert two["DynamoDB writes"] == one["DynamoDB writes"] + 1, "30 points are a unit as 60 are"
    assert two["Lambda GB-seconds of http"] > one["Lambda GB-seconds of http"]


@pytest.mark.parametrize("batch", [10, 60, 500])
def test_estimate_of_a_batch_is_what_is_counted(batch, clock, dynamo):
    world = World()
    world.send(*(point(f"v{number}", 1, time=HOUR_START) for number in range(5)))
    points = [
        point(
            f"v{number % 5}", round(20 + number * 0.37, 2), unit="C", time=HOUR_START + batch * 1_007 + number * 1_000
        )
        for number in range(batch)
    ]
    with counting() as calls:
        world.send(*points)
    found = pricing.figures(f"http_{batch}")
    assert calls.units["write"] == found["write_units"]
    assert calls.stored_bytes == pytest.approx(found["stored_bytes"], rel=0.1), "those of one point are rounded"


def without(monkeypatch, *names):
    """Lift limits, as if somebody had raised them."""
    raised = scale.limits() | dict.fromkeys(names, Limit(math.inf, "AWS"))
    monkeypatch.setattr(scale, "limits", lambda: raised)


def test_limit_that_comes_first_moves_as_others_are_raised(monkeypatch):
    fleet = HTTP._replace(profiles=1)

    def first():
        row, devices = scale.first(fleet)
        return row.limit, devices

    assert first()[0] == "counters"
    without(monkeypatch, "counters")
    assert first() == ("dynamodb_partition_writes", pytest.approx(30_000, rel=1e-3)), "two counters a minute"
    fleet = fleet._replace(profiles=100)
    # In an hour, a device makes 120 writes of its counter, two of hour and directory, and two of its profile's usage,
    # as 100 profiles share each call with 6,000 changes.
    assert first() == ("dynamodb_new_table_writes", math.floor(4_000 / 124 * 3_600))
    without(monkeypatch, "dynamodb_new_table_writes", "dynamodb_new_table_reads")
    assert first() == ("stage_requests", throttles.REQUESTS_PER_SECOND * 60)
    without(monkeypatch, "stage_requests")
    row, devices = scale.first(fleet)
    assert row.limit == "lambda_synchronous_calls" and devices == math.floor(10_000 / 2.002 * 60)
    fleet = MQTT
    assert first() == ("iot_authorizer_calls", 450_000)
    without(monkeypatch, "iot_authorizer_calls")
    assert first() == ("iot_connections", 500_000)


def test_settings_of_the_deployment_are_its_limits(monkeypatch):
    monkeypatch.setattr(throttles, "REQUESTS_PER_SECOND", 7)
    monkeypatch.setitem(spec.FUNCTIONS, "iot-authorizer", spec.Function("iot-authorizer", 512, 5, 80))
    scale.limits.cache_clear()
    assert scale.enough_for(HTTP, row_of("stage_requests")) == 420
    assert scale.limits()["iot_authorizer"].figure == 80 and scale.limits()["iot_authorizer_calls"].figure == 800


def test_number_of_devices_is_no_matter_to_what_each_does_alone():
    fleet = HTTP._replace(every_s=1 / 1_500)
    (row,) = (row for row in scale.rows(fleet) if row.need == "device writes")
    assert scale.enough_for(HTTP, row) == math.inf and scale.enough_for(fleet, row) == 0
    text = report(fleet)
    assert f"First limit: {name(row)}. It is enough for 0 devices." in text and row.remedy in text
    assert "any number" in report(HTTP)


def test_report_names_what_to_do_for_each_limit_that_is_too_low_and_no_other():
    small, large = report(HTTP._replace(devices=100)), report(HTTP._replace(devices=1e6))
    assert "Too low" not in small and "(fixed" not in small
    for row in scale.rows(HTTP):
        if row.limit:
            too_low = scale.enough_for(HTTP, row) < 1e6
            said = [line for line in large.splitlines() if line.startswith("Too low: ") and name(row) in line]
            assert bool(said) is too_low and all(row.remedy in line for line in said), row
    assert "SSM allows 40 a second" in large
    assert "all clients are connected again in 900 s at least" in report(MQTT)


def test_each_row_has_a_limit_with_a_remedy_or_none_and_each_need_a_row():
    rows = scale.rows(HTTP._replace(months=12)) + scale.rows(MQTT)
    assert all(row.limit in scale.limits() and row.remedy for row in rows if row.limit)
    assert {row.need for row in rows} == scale.needs(HTTP._replace(months=12)).keys() | scale.needs(MQTT).keys()
    assert len(scale.all_rows()) == len({(row.service, row.what) for row in rows})


def test_each_quota_has_a_date_and_a_source():
    for quota in quotas.load().values():
        assert datetime.date(2026, 11, 1) <= datetime.date.fromisoformat(quota.date) and quota.source
    assert quotas.date() in report(HTTP)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--devices"),
        (["--devices", "0"], "'0' must be a number above 0"),
        (["--devices", "1.5"], "'1.5' must be a whole number"),
        (["--devices", "inf"], "'inf' must be a finite number"),
        (["--devices", "many"], "'many' must be a number above 0"),
        (["--devices", "5", "--every", "nan"], "'nan' must be a number above 0"),
        (["--devices", "5", "--every", "inf"], "'inf' must be a finite number"),
        (["--devices", "5", "--batch", "1001"], "at most 1,000 points"),
        (["--devices", "5", "--retention", "-1"], "must be a number above 0"),
        (["--devices", "5", "--profiles", "6"], "--profiles: each profile needs a device"),
        (["--devices", "5", "--mqtt", "--http"], "not allowed with argument"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, says, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["scale", *arguments])
    assert exit_.value.code == 2 and says in capsys.readouterr().err


def test_command_takes_its_options(capsys):
    assert main(["scale", "--devices", "1e3", "--every", "600", "--batch", "10", "--mqtt", "--retention", "2"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "1,000 devices of 1 profile send 10 points over MQTT every 600 s, kept for 2 months, not sealed as it pays from 7 months on"
    )
    assert float(text.split()[-1].replace(",", "")) == pytest.approx(
        pricing.total(scale.bill(Fleet(1_000, 600, 10, "mqtt", 2, 1))), abs=0.01
    )


def test_page_of_the_docs_is_what_its_commands_print():
    text = scale_page.PAGE.read_text()
    assert text == scale_page.updated(text), "python -m deploy.scale_page writes it"
    assert text.count("$ python -m deploy scale --devices ") == 5 and "| one point a minute over HTTP |" in text
    hourly, minutely = (pricing.total(scale.bill(Fleet(1e5, *how, "http", 12, 10))) for how in ((3_600, 60), (60, 1)))
    assert "about a twenty-fifth" in text and minutely / hourly == pytest.approx(25, abs=2)
