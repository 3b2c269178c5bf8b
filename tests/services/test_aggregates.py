"""The folding of many variables."""

from chalicelib.codec import keys
from chalicelib.codec.times import to_iso
from chalicelib.services.points import aggregates, directory
from chalicelib.services.points.directory import Span
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point

HOUR = NOW_MS // keys.HOUR_MS


class Counted(dict):
    """A bucket that counts how often it is looked at."""

    looks = 0

    def _look(self):
        Counted.looks += 1
        return self

    def __contains__(self, name):
        return super(Counted, self._look()).__contains__(name)

    def items(self):
        return super(Counted, self._look()).items()


def test_each_bucket_is_looked_at_once_however_many_variables_there_are(sqlite, monkeypatch):
    world, hours = World(), range(HOUR - 50, HOUR)
    world.send(*[point(f"v{hour}", hour, time=hour * keys.HOUR_MS) for hour in hours])
    spans = {f"w{number}": Span(HOUR, HOUR) for number in range(500)}
    directory.widen(device=world.device, spans=spans)
    values = aggregates.Buckets.values
    monkeypatch.setattr(
        aggregates.Buckets, "values", lambda self: {start: Counted(of) for start, of in values(self).items()}
    )
    monkeypatch.setattr(Counted, "looks", 0)
    answer = world.read(query="aggregate", interval="hour", function="max")
    assert answer == [
        {"time": to_iso(hour * keys.HOUR_MS), "value": hour, "variable": name}
        for name, hour in sorted((f"v{hour}", hour) for hour in hours)
    ]
    assert Counted.looks == len(hours)
