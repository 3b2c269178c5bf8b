"""Rates in the embedded mode: what its gateway answers itself, long reads, and clients at the edge of a minute."""

import asyncio

import pytest

from chalicelib.host import deadline
from chalicelib.services.usage import limits
from embedded.mqtt.rates import Rates
from tests.kit.asgi import asgi
from tests.kit.clock import Clock
from tests.kit.world import World, point

EDGE_MS = 1_790_000_040_000
"""A minute begins."""


@pytest.fixture
def free(clock, sqlite):
    """A profile of the plan free."""
    world = World()
    limits.change(world.profile, plan="free")
    return world


def remaining(answer):
    return int(answer.headers["x-ratelimit-remaining"])


def test_head_counts_as_get_and_what_the_gateway_answers_counts_nowhere(serve, free):
    headers = {"token": free.token}

    async def scenario(gateway):
        assert remaining(await asgi(gateway, "HEAD", "/data", headers)) == 249
        assert "x-ratelimit-limit" not in (await asgi(gateway, "OPTIONS", "/data", headers)).headers
        assert (await asgi(gateway, "GET", "/nothing", headers)).status == 404
        return await asgi(gateway, "GET", "/data", headers)

    assert remaining(serve(scenario)) == 248


def test_a_read_that_moves_to_a_thread_counts_once(serve, free, monkeypatch):
    free.send(*[point("a", number) for number in range(50)])
    monkeypatch.setattr(deadline, "is_worth_a_try", lambda _: False)

    async def scenario(gateway):
        return [await asgi(gateway, "GET", "/data", {"token": free.token}) for _ in range(2)]

    first, second = serve(scenario)
    assert len(first.result) == 15 and (remaining(first), remaining(second)) == (249, 248)


@pytest.mark.parametrize("step_ms", [1, -1])
def test_16_clients_at_the_edge_of_a_minute_never_pass_its_limit(serve, free, monkeypatch, step_ms):
    """The clock passes an edge among their requests, or passes it and steps back."""
    clock = Clock(EDGE_MS - 1 if step_ms > 0 else EDGE_MS).install(monkeypatch)
    served = []

    async def client(gateway):
        for number in range(8):
            answer = await asgi(gateway, "PUT", "/data", {"token": free.token}, b'{"id": "1", "value": 1}')
            if answer.status != 429:
                served.append(int(answer.headers["x-ratelimit-reset"]))
            if number == 4 and clock.now_ms in (EDGE_MS - 1, EDGE_MS):
                clock.now_ms += step_ms
            await asyncio.sleep(0)

    async def scenario(gateway):
        await asyncio.gather(*(client(gateway) for _ in range(16)))

    serve(scenario)
    by_minute = {reset: served.count(reset) for reset in served}
    assert max(by_minute.values()) == 60 and len(by_minute) == (2 if step_ms > 0 else 1), by_minute


def test_mqtt_and_http_have_counters_of_their_own(free):
    rates = Rates()
    assert [rates.take(free.profile, "publish") for _ in range(251)] == [True] * 250 + [False]
    assert remaining(free.api.post("/data", point("a"))) == 249
