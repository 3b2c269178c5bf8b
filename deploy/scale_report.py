"""Makes the text that ``python -m deploy scale`` prints."""

import math

from deploy import quotas
from deploy.pricing import prices, total
from deploy.scale import Fleet, Row, bill, enough_for, first, limits, needs, rows


def report(fleet: Fleet) -> str:
    """Return as text: what the fleet needs beside each limit, which limit is first, what to do, and a month's bill."""
    row, devices = first(fleet)
    return "\n".join(
        [
            f"{_title(fleet)}.",
            f"AWS's quotas are the defaults of an account and region on {quotas.date()}.",
            "",
            *_table(fleet),
            "",
            f"First limit: {name(row)}. It is enough for {counted(devices)} devices.",
            *_too_low(fleet),
            _restart(fleet),
            "",
            f"A month without reads, at list prices of {prices()['region']}, {prices()['date']}:",
            "",
            *_bill(fleet),
        ]
    )


def name(row: Row) -> str:
    """Return how a limit is called."""
    return f"{row.service}, {row.what.strip()}"


def _too_low(fleet: Fleet) -> list[str]:
    """Return which limits are too low and what to do, the limits with the same remedy together."""
    by_remedy: dict[str, list[str]] = {}
    for row in rows(fleet):
        if row.limit and enough_for(fleet, row) < fleet.devices:
            by_remedy.setdefault(row.remedy, []).append(name(row))
    return [f"Too low: {'; '.join(names)}. {remedy}" for remedy, names in by_remedy.items()]


def _title(fleet: Fleet) -> str:
    points = "1 point" if fleet.batch == 1 else f"{fleet.batch:,} points"
    profiles = "1 profile" if fleet.profiles == 1 else f"{fleet.profiles:,.0f} profiles"
    sealed = f"not sealed {why}" if (why := fleet.why_not_sealed) else "sealed"
    kept = f"kept for {fleet.months:g} months, {sealed}"
    sent = f"{points} over {fleet.path.upper()} every {fleet.every_s:,g} s"
    return f"{fleet.devices:,.0f} devices of {profiles} send {sent}, {kept}"


def _table(fleet: Fleet) -> list[str]:
    lines, service, needed = [f"{'':<46}{'needed':>13}{'limit':>10}{'raised by':>11}{'devices':>17}"], "", needs(fleet)
    for row in rows(fleet):
        if row.service != service:
            service = row.service
            lines.append(service)
        line = f"  {row.what:<44}{_figure(needed[row.need]):>13}"
        if row.limit:
            limit = limits()[row.limit]
            line += f"{limit.figure:>10,}{limit.raised:>11}{counted(enough_for(fleet, row)):>17}"
        lines.append(line)
    return lines


def _figure(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 or amount == int(amount) else f"{amount:.3g}"


def counted(number: float) -> str:
    """Return a number of devices as text."""
    return "any number" if math.isinf(number) else f"{number:,.0f}"


def _restart(fleet: Fleet) -> str:
    """Return what happens when all clients or environments begin at the same moment."""
    if fleet.path == "mqtt":
        seconds = fleet.devices / limits()["iot_connects"].figure
        return f"After an outage, all clients are connected again in {_figure(math.ceil(seconds))} s at least."
    needed, load_ms = needs(fleet), prices()["assumed"]["load_ms"]["authorizer"]
    environments = math.ceil(needed["running authorizer"] + needed["requests"] * load_ms / 1000)
    return (
        f"After an upgrade, about {_figure(environments)} new environments of the authorizer read the secret at once. "
        f"SSM allows {limits()['ssm_reads'].figure} a second."
    )


def _bill(fleet: Fleet) -> list[str]:
    billed = bill(fleet)
    lines = [f"  {name:<36}{quantity:>20,.0f}{dollars:>16,.2f}" for name, quantity, dollars in billed]
    return [f"{'':<38}{'quantity':>20}{'dollars':>16}", *lines, f"  {'total':<56}{total(billed):>16,.2f}"]
