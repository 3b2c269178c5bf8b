"""Turns of payload parsers, with runs that last as long as a test says: who is quick does not wait for who is slow."""

import asyncio
import math

import pytest

from chalicelib import errors
from embedded import turns
from embedded.turns import LONG_S, MAX_SLOW_S, Turns


class Bench:
    """Turns for two runs, which go on until a test ends them."""

    def __init__(self):
        self.turns, self.order, self.ends = Turns(2), [], {}

    async def run(self, profile, end_s=math.inf):
        async with self.turns.turn(profile, end_s) as run:
            self.order.append(profile)
            self.ends[profile] = asyncio.get_running_loop().create_future()
            run.took_s = await self.ends[profile]

    async def start(self, *profiles, **options):
        tasks = [asyncio.ensure_future(self.run(profile, **options)) for profile in profiles]
        await settled()
        return tasks

    async def end(self, *profiles, took_s=0.001):
        for profile in profiles:
            self.ends.pop(profile).set_result(took_s)
            await settled()

    async def had(self, took_s, *profiles):
        """Let each profile have had a run that took so long."""
        for profile in profiles:
            await self.start(profile)
            await self.end(profile, took_s=took_s)
        self.order.clear()

    @property
    def is_empty(self):
        return not self.turns._running and not self.turns._lines


async def settled():
    for _ in range(6):
        await asyncio.sleep(0)


@pytest.fixture
def run(clock):
    def do(scenario):
        async def main():
            bench = Bench()
            async with asyncio.timeout(20):
                await scenario(bench)
            assert bench.is_empty

        asyncio.run(main())

    return do


def test_however_many_are_slow_a_quick_profile_has_its_turn_at_once(run):
    hostile = [f"h{number}" for number in range(20)]

    async def scenario(bench):
        await bench.had(0.001, "good")
        await bench.had(1.0, *hostile)
        await bench.start(*hostile)
        assert len(bench.ends) == 1, "slow profiles leave one run to others"
        for _ in range(3):
            await bench.start("good")
            assert bench.order[-1] == "good"
            await bench.end("good")
        for _ in hostile:
            await bench.end(*bench.ends, took_s=1.0)
        assert sorted(bench.order) == sorted([*hostile, "good", "good", "good"])

    run(scenario)


def test_new_profiles_use_one_run_until_one_of_theirs_was_short(run):
    async def scenario(bench):
        await bench.start("a", "b", "c")
        assert bench.order == ["a"]
        await bench.end("a")
        await bench.start("a")
        assert bench.order == ["a", "b", "a"]
        await bench.end("a", "b", "c")

    run(scenario)


def test_the_least_slow_comes_first_and_a_new_profile_before_it(run):
    async def scenario(bench):
        await bench.had(1.0, "worst")
        await bench.had(0.2, "heavy")
        await bench.start("worst")
        await bench.start("worst", "heavy", "new")
        for profile in ("worst", "new", "heavy", "worst"):
            await bench.end(profile)
        assert bench.order == ["worst", "new", "heavy", "worst"]

    run(scenario)


def test_quick_profiles_take_turns_each_in_order_of_arrival(run):
    async def scenario(bench):
        await bench.had(LONG_S, "a", "b", "c")
        await bench.start("a", "a", "a", "b", "c")
        assert bench.order == ["a", "b"], "one run of each"
        await bench.end("a")
        assert bench.order == ["a", "b", "c"]
        await bench.end("b", "a", "c", "a")
        assert bench.order == ["a", "b", "c", "a", "a"]

    run(scenario)


def test_a_slow_profile_is_quick_again_after_a_while(run, clock):
    async def scenario(bench):
        await bench.had(0.2, "heavy")
        await bench.had(1.0, *["worst"] * 9)
        await bench.start("worst", "heavy")
        assert bench.order == ["worst"]
        clock.advance(61)
        await bench.start("heavy")
        assert bench.order == ["worst", "heavy"]
        await bench.end("heavy", "heavy", "worst")
        clock.advance(MAX_SLOW_S)
        await bench.start("worst", "heavy")
        assert len(bench.ends) == 2
        await bench.end("heavy", "worst")

    run(scenario)


def test_who_waits_longer_than_it_may_is_refused(run):
    async def scenario(bench):
        await bench.start("a")
        (late,) = await bench.start("a", end_s=-1.0)
        with pytest.raises(errors.Unavailable, match="turn"):
            await late
        await bench.end("a")
        assert bench.order == ["a"]

    run(scenario)


def test_who_is_cancelled_takes_no_turn_away(run):
    async def scenario(bench):
        await bench.start("a")
        waiting, last = await bench.start("a", "a")
        waiting.cancel()
        await bench.end("a")
        await bench.end("a")
        await last
        running, called = await bench.start("a", "a")
        bench.ends["a"].set_result(0.001)
        await asyncio.sleep(0)
        called.cancel()
        await settled()
        bench.ends.get("a") and bench.ends["a"].cancel()
        await asyncio.gather(running, called, return_exceptions=True)

    run(scenario)


def test_only_so_many_profiles_are_remembered(run, monkeypatch):
    monkeypatch.setattr(turns, "MAX_KNOWN", 2)

    async def scenario(bench):
        await bench.had(0.001, "a", "b", "c")
        assert list(bench.turns._slow_until_s) == ["b", "c"]

    run(scenario)


def test_who_leaves_at_the_moment_of_its_turn_does_not_stop_the_others(run):
    async def scenario(bench):
        await bench.had(0.001, "a", "b", "c", "d")
        await bench.start("a", "b")
        leaving, staying = await bench.start("c", "d")
        bench.ends.pop("a").set_result(0.001)
        leaving.cancel()  # before the end of "a" gives "c" its turn
        await settled()
        assert bench.order == ["a", "b", "d"]
        await bench.end("b", "d")
        await staying

    run(scenario)
