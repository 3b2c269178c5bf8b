"""Milliseconds of each function, as CloudWatch and Lambda tell them."""

import datetime
import functools
from typing import Any

from deploy import spec
from deploy.live.site import Check, Finding, Site

_HOURS = 3
_STATISTICS = (
    ("calls", "Duration", "SampleCount"),
    ("total", "Duration", "Sum"),
    ("p50", "Duration", "p50"),
    ("p90", "Duration", "p90"),
    ("max", "Duration", "Maximum"),
    ("errors", "Errors", "Sum"),
    ("throttles", "Throttles", "Sum"),
)
"""What to ask: a name, CloudWatch's metric, and its statistic."""
_ADDED = ("calls", "total", "errors", "throttles")
"""Statistics that are added up if CloudWatch splits the time. Of the others, the largest counts."""


def function(site: Site, key: str) -> Finding:
    """Return how long the calls of a function took in the last three hours. Cost: two calls.

    Args:
        site: the stage.
        key: of ``spec.FUNCTIONS``.
    """
    name = spec.FUNCTIONS[key].full_name(site.cloud.stage)
    configuration = site.cloud.client("lambda").get_function_configuration(FunctionName=name)
    built = f"{configuration['MemorySize']} MB, {'/'.join(configuration['Architectures'])}, {configuration['Runtime']}"
    found = _statistics(site, name)
    calls = found["calls"]
    if not calls:
        return Finding(f"{built}; no calls in {_HOURS} hours", is_note=True)
    percentiles = f"p50 {found['p50']:.1f}, p90 {found['p90']:.1f}, max {found['max']:.0f} ms"
    times = f"average {found['total'] / calls:.1f}, {percentiles}"
    failed = f"{found['errors']:.0f} errors, {found['throttles']:.0f} throttles"
    is_note = bool(found["errors"] or found["throttles"])
    return Finding(f"{built}; {calls:.0f} calls in {_HOURS} hours: {times}; {failed}", is_note=is_note)


def _statistics(site: Site, name: str) -> dict[str, float]:
    now = datetime.datetime.now(datetime.UTC)
    dimensions = [{"Name": "FunctionName", "Value": name}]

    def asked(key: str, metric: str, statistic: str) -> dict[str, Any]:
        what = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions}
        return {"Id": key, "MetricStat": {"Metric": what, "Period": _HOURS * 3600, "Stat": statistic}}

    answer = site.cloud.client("cloudwatch").get_metric_data(
        MetricDataQueries=[asked(*statistic) for statistic in _STATISTICS],
        StartTime=now - datetime.timedelta(hours=_HOURS),
        EndTime=now,
    )
    values = {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}
    return {
        key: (sum if key in _ADDED else functools.partial(max, default=0.0))(values.get(key, []))
        for key, _, _ in _STATISTICS
    }


CHECKS: tuple[tuple[str, Check], ...] = tuple(
    (f"Function {key}", functools.partial(function, key=key)) for key in spec.FUNCTIONS
)
