"""``GET /metrics``, read with Prometheus' own parser, of a running server; and who may read it."""

import asyncio
import json
import re
import urllib.error
import urllib.request

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app import app
from embedded import measured
from embedded.measured import Histogram
from embedded.metrics import Metric, Metrics
from tests.embedded.test_events import Stream, device_id
from tests.kit.asgi import asgi
from tests.kit.world import World
from tests.mqtt.client import Client
from tests.program import ROOT

HERE = ("127.0.0.1", 40_000)
LOCAL = {"host": "127.0.0.1:8000"}
TOKEN = "a token of the operator"


def scrape(program):
    with urllib.request.urlopen(f"{program.url}/metrics", timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert answer.headers["x-request-id"]
        return read(answer.read().decode())


def read(text):
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {(one.name, *sorted(one.labels.values())): one.value for family in families for one in family.samples}


def test_what_a_server_does_is_in_its_metrics(start):
    program = start()
    stream = Stream(program, f"device_data.{device_id(program)}", program.profile_token)
    for _ in range(3):
        program.call("POST", "/data", body=[{"variable": "a", "value": 1}, {"variable": "b", "value": 2}])
    assert program.call("POST", "/data", body={"variable": "bad name"}) == 400
    assert program.call("GET", "/device/secret-of-a-client/nothing") == 404
    client = Client(program.mqtt_port, program.device_token)
    client.publish("tago/data/post", json.dumps({"variable": "c", "value": 3}))
    client.publish("tago/data/post", "{")
    found = scrape(program)
    assert found["decant_requests_total", "/data", "200", "POST"] == 3
    assert found["decant_requests_total", "/data", "400", "POST"] == 1
    assert found["decant_requests_total", "404", "GET", "none"] == 1
    assert found["decant_request_duration_seconds_count", "/data", "POST"] == 4
    assert found["decant_request_duration_seconds_bucket", "+Inf", "/data", "POST"] == 4
    assert 0 < found["decant_request_duration_seconds_sum", "/data", "POST"] < 4
    assert found["decant_points_stored_total",] == 7
    assert found["decant_commit_duration_seconds_count",] >= 4
    assert found["decant_mqtt_connections",] == 1 and found["decant_event_listeners",] == 1
    assert (found["decant_mqtt_messages_total",], found["decant_mqtt_messages_refused_total",]) == (2, 1)
    assert found["decant_sealer_waiting_segments",] == 4
    assert found["process_open_fds",] > 5 and found["process_max_fds",] > found["process_open_fds",]
    assert found["process_resident_memory_bytes",] == pytest.approx(program.memory_mb() * 1024**2, rel=0.2)
    stream.close()
    client.close()
    assert scrape(program)["decant_requests_total", "/metrics", "200", "GET"] == 1


def test_page_names_metrics_that_exist(start):
    page = (ROOT / "docs/self-hosting.md").read_text().partition("## Metrics")[2].partition("\n## ")[0]
    named = set(re.findall(r"\b(?:decant|process)_\w+", page)) - {"decant_requests_total"}
    program = start()
    program.call("POST", "/data", body={"variable": "a", "value": 1})
    assert len(named) == 5 and named <= {name for name, *_ in scrape(program)}
    (config,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (job,) = yaml.safe_load(config)["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["decant.example.org:443"]}] and job["scheme"] == "https"


def test_points_of_a_transaction_that_was_undone_are_not_counted(sqlite):
    world = World()
    sqlite.grouped, before = True, sqlite.points_stored
    world.send({"variable": "a", "value": 1})
    sqlite.rollback()
    assert sqlite.points_stored == before
    world.send({"variable": "a", "value": 1}, {"variable": "b", "value": 2})
    sqlite.commit()
    sqlite.grouped = False
    assert sqlite.points_stored == before + 2


def test_token_opens_them_to_other_machines_and_closes_them_to_this_one(start):
    program = start(DECANT_METRICS_TOKEN=TOKEN)
    for headers in ({}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}, {"token": TOKEN}):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(f"{program.url}/metrics", headers=headers), timeout=30)
        with caught.value as error:
            assert error.code == 401 and json.load(error)["message"] == "Authorization Denied"
    request = urllib.request.Request(f"{program.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert read(answer.read().decode())


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        (("192.0.2.9", 1), LOCAL),
        (HERE, LOCAL | {"x-forwarded-for": "192.0.2.9"}),
        (HERE, LOCAL | {"x-forwarded-for": "127.0.0.1"}),
        (("192.0.2.9", 1), LOCAL | {"x-forwarded-for": "127.0.0.1"}),
        (HERE, LOCAL | {"forwarded": "for=127.0.0.1"}),
        (HERE, LOCAL | {"via": "1.1 proxy"}),
        (HERE, LOCAL | {"x-real-ip": "127.0.0.1"}),
        (HERE, LOCAL | {"x-forwarded-host": "api.example"}),
        (HERE, LOCAL | {"x-forwarded-proto": "https"}),
        (HERE, LOCAL | {"cf-connecting-ip": "192.0.2.9"}),
        (HERE, {"host": "attacker.example:8000"}),
        (HERE, {"host": "127.0.0.1.attacker.example"}),
        (HERE, {"host": "[::1"}),
        (HERE, {}),
        (None, LOCAL),
    ],
    ids=str,
)
def test_without_a_token_only_programs_of_this_machine_read_them(serve, client, headers):
    async def scenario(gateway):
        return await asgi(gateway, "GET", "/metrics", headers, client=client)

    answer = serve(scenario, parts=[Metrics(())])
    assert answer.status == 403 and "DECANT_METRICS_TOKEN" in answer.message


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://api.example.org", 403),
        ("https://api.example.org/iot/", 403),
        ("http://localhost:8000", 200),
        ("", 200),
    ],
)
def test_where_the_url_is_public_a_proxy_that_shows_in_no_header_may_not_read_them(url, status):
    scope = {"method": "GET", "client": HERE, "headers": [(b"host", b"127.0.0.1:8000")]}
    assert Metrics((), url=url)._answer(scope).status_code == status


def test_proxy_that_is_told_nothing_may_not_read_them():
    scope = {"method": "GET", "client": HERE, "headers": [(b"host", b"127.0.0.1:8000")], "http_version": "1.0"}
    assert Metrics(())._answer(scope).status_code == 403


@pytest.mark.parametrize("client", [HERE, ("::1", 1, 0, 0)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_programs_of_this_machine_read_them_and_only_read(client, host):
    for method, status in (("GET", 200), ("HEAD", 200), ("POST", 405), ("OPTIONS", 405)):
        scope = {"method": method, "client": client, "headers": [(b"host", host.encode())]}
        assert asyncio.run(Metrics(()).answer(scope, None, None, "id")).status_code == status


def test_nothing_that_a_client_chose_is_a_label(serve):
    async def scenario(gateway):
        for number in range(50):
            await asgi(gateway, f"M{number}", f"/{number}")
            await asgi(gateway, f"M{number}", f"/device/{number}")
            await asgi(gateway, "GET", f"/device/{number}", {"token": str(number)})

    before = labels()
    serve(scenario)
    assert {method for method, _ in labels() - before} <= {*measured.METHODS, "other"}
    assert {row for _, row in labels() - before} <= {*app.routes, measured.NO_ROW}
    assert ("other", measured.NO_ROW) in labels() and ("GET", "/device/{device_id}") in labels()


def labels():
    samples = (*measured.answer_samples(), *measured.time_samples())
    return {(sample.labels["method"], sample.labels["row"]) for sample in samples}


def test_buckets_hold_what_is_at_most_their_bound():
    times = Histogram((0.1, 1.0))
    for took_s in (0.05, 0.1, 0.5, 7.0):
        times.note(took_s)
    text = "\n".join(Metric("x", "histogram", "About.", lambda: times.samples({"row": "/a"})).lines()) + "\n"
    assert read(text) == {
        ("x_bucket", "/a", "0.1"): 2,
        ("x_bucket", "/a", "1.0"): 3,
        ("x_bucket", "+Inf", "/a"): 4,
        ("x_sum", "/a"): pytest.approx(7.65),
        ("x_count", "/a"): 4,
    }
