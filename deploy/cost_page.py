"""Writes docs/cost.md: ``python -m deploy.cost_page``. Every figure on the page comes from cost.py and prices.json."""

import math
from pathlib import Path

from chalicelib.functions.iot_authorizer import DISCONNECT_S, REFRESH_S
from chalicelib.host import files as host
from chalicelib.services.devices import files, imports
from chalicelib.settings import CACHE_S
from deploy import cost, spec, throttles
from deploy.pricing import Component, cpu_ms, measured, prices, run_ms, table, total

MILLION = 1e6
_EVERY_S = 10
_A_DAY = 1_440
"""Points of a device and day, if it sends one a minute."""
_NO_CACHE = math.inf


def _sends(environments: float) -> dict[str, list[Component]]:
    """Return what a million points cost, by title."""

    def sent(batch: int, path: str, every_s: float = _EVERY_S, basic_ingest: bool = False) -> list[Component]:
        return cost.send(
            points=MILLION,
            batch=batch,
            path=path,
            every_s=every_s,
            environments=environments,
            basic_ingest=basic_ingest,
        )

    return {
        "A million points over HTTP, one a request": sent(1, "http"),
        "A million points over HTTP, 100 a request": sent(100, "http"),
        "A million points over MQTT, one a message": sent(1, "mqtt"),
        "The same with Basic Ingest": sent(1, "mqtt", basic_ingest=True),
        "A million points over MQTT, 100 a message": sent(100, "mqtt"),
        "A million points over HTTP, one a request, a device once a minute": sent(1, "http", 60),
        "A million points over MQTT, one a message, a device once a minute": sent(1, "mqtt", 60),
    }


def _reads(environments: float) -> dict[str, list[Component]]:
    """Return what a million reads cost, by title."""

    def read(access: str, compressed: bool = False) -> list[Component]:
        return cost.read(
            requests=MILLION, access=access, every_s=_EVERY_S, environments=environments, compressed=compressed
        )

    return {
        "A million reads of the last value": read("last_value"),
        "A million reads of the last 15 points": read("last_15"),
        "A million reads of 1,000 points, not compressed": read("get_1000"),
        "A million reads of 1,000 points by clients that accept gzip": read("get_1000", compressed=True),
    }


def _others() -> dict[str, list[Component]]:
    """Return what else costs money, by title."""
    return {
        "A million points sent one a request, kept for a month": cost.keep(points=MILLION, batch=1),
        "A million points sent 100 a request, kept for a month": cost.keep(points=MILLION, batch=100),
        "A million points sent one a request, sealed (a device sends once a minute)": cost.seal(
            days=MILLION / _A_DAY, segments=_A_DAY, points=_A_DAY
        ),
        "A million points sent one a request and sealed, kept for a month": cost.keep_sealed(
            points=MILLION, a_day=_A_DAY
        ),
        "A million segments that expire, at most": cost.expire(segments=MILLION),
        "An MQTT client that is connected for a month": cost.connected(hours=cost.MONTH_S / cost.HOUR_S),
        "A view of a device in the console, 8 hours a day for a month, at most": cost.watch(
            polls=cost.WATCHED_HOURS * cost.HOUR_S / cost.POLL_S
        ),
        "A million messages that the API publishes to devices": cost.publish(messages=MILLION),
        "A million requests with an unknown token (401)": cost.refuse(requests=MILLION, why="unknown token"),
        "A million requests over the limits of a plan (429)": cost.refuse(requests=MILLION, why="too many requests"),
        "A million requests that break a rule (400)": cost.refuse(requests=MILLION, why="bad request"),
        "A million MQTT clients with an unknown token": cost.refuse(requests=MILLION, why="unknown MQTT client"),
        "A million messages in the queue of dead letters": cost.set_aside(messages=MILLION),
        "A month without requests, if nothing else uses the free alarms and queue requests": cost.idle(),
        "A month without requests, with nothing free": cost.idle(free=False),
        "The calls of the counters in a month in which something is sent each minute": cost.counting_floor(),
        "API Gateway's access logs of a million requests, which are off": cost.access_logs(requests=MILLION),
        "The tables under the key `aws/dynamodb` for a month, which they do not use, at most": cost.managed_key(),
    }


def page() -> str:
    """Return the text of docs/cost.md."""
    usual, worst = _sends(1) | _reads(1), _sends(_NO_CACHE) | _reads(_NO_CACHE)
    summary = [f"| {title} | {_cents(usual[title])} | {_cents(worst[title])} |" for title in usual]
    others = [f"| {title} | {_cents(components)} |" for title, components in _others().items()]
    details = [
        f"### {title.replace('`', '')}\n\n```text\n{table(components)}\n```"
        for title, components in (usual | _others()).items()
    ]
    savings = [cost.arm_saving(components) for components in usual.values()]
    return _PAGE.format(
        summary="\n".join(summary),
        others="\n".join(others),
        environments="\n".join(_environments()),
        times="\n".join(_run_times()),
        notes="\n".join(_notes()),
        prices="\n".join(_prices()),
        details="\n\n".join(details),
        least_saving=f"{min(savings) * 100:.1f}",
        most_saving=f"{max(savings) * 100:.1f} %",
        **_words(),
    )


def _words_of_sealing() -> dict[str, str]:
    days = cost.MONTH_S / cost.HOUR_S / 24
    sealing, single, sealed = (
        total(components)
        for components in (
            cost.seal(days=days, segments=_A_DAY, points=_A_DAY),
            cost.keep(points=days * _A_DAY, batch=1),
            cost.keep_sealed(points=days * _A_DAY, a_day=_A_DAY),
        )
    )
    deletes = days * _A_DAY * prices()["dollars"]["write_unit"] / sealing
    return {
        "sealing": f"{sealing:.3f}",
        "deletes": f"{deletes * 100:.0f}",
        "single_month": f"{single:.4f}",
        "sealed_month": f"{sealed:.4f}",
        "paid_back": f"{cost.paid_back_months(a_day=_A_DAY):.1f}",
        "single_year": f"{12 * single:.3f}",
        "sealed_year": f"{sealing + 12 * sealed:.3f}",
        "merge_ms": f"{cpu_ms('sealer', 'sealed') * 512 / 1769:.0f}",
    }


def _words() -> dict[str, str]:
    """Return the figures in the sentences of the page."""
    assumed, first = prices()["assumed"], "A million points over HTTP, one a request"
    flood = total(cost.refuse(requests=throttles.REQUESTS_PER_SECOND * cost.HOUR_S, why="unknown token"))
    access_logs = total(cost.access_logs(requests=MILLION)) / total(_sends(1)[first])
    busy = 1_000 / _EVERY_S * run_ms("http", "http_1", measured()["http_1"]["calls"]) / 1000
    starts = sum(cost.cold_start(function) for function in assumed["load_ms"])
    return _words_of_sealing() | {
        "region": prices()["region"],
        "date": prices()["date"],
        "every_s": str(_EVERY_S),
        "cache_s": str(CACHE_S),
        "busy": f"{busy:.1f}",
        "service_ms": f"{assumed['service_ms']}",
        "runtime_ms": f"{assumed['runtime_ms']}",
        "refresh_s": str(REFRESH_S),
        "connects": f"{DISCONNECT_S // cost.HOUR_S}",
        "counting_s": str(spec.COUNTING_S),
        "threads": str(assumed["counter_threads"]),
        "update_ms": f"{cost.update_ms():.1f}",
        "update_alone_ms": f"{cpu_ms('counters', 'counted') + assumed['service_ms']:.1f}",
        "a_call": f"{assumed['changes_a_call']:,}",
        "shards": str(assumed["stream_shards"]),
        "alarms": str(len(spec.alarms("dev"))),
        "polls": str(prices()["assumed"]["queue_polls_a_minute"]),
        "free_alarms": str(prices()["free_alarms"]),
        "alarm": f"{prices()['dollars']['alarm_month']:.2f}",
        **_of_files(),
        "poll_s": str(cost.POLL_S),
        "watched": f"{cost.WATCHED_HOURS:.0f}",
        "slow_watch": f"{total(cost.watch(polls=cost.WATCHED_HOURS * cost.HOUR_S / 30)):.2f}",
        "limit": f"{throttles.REQUESTS_PER_SECOND:,}",
        "flood": f"{flood:.2f}",
        "access_log_bytes": str(assumed["access_log_bytes"]),
        "access_logs": f"{access_logs * 100:.0f} %",
        "starts": f"{MILLION / 100 * starts:.2f}",
        "ratio": f"{measured()['get_1000']['answer_bytes'] / measured()['get_1000']['compressed_bytes']:.0f}",
        "header_bytes": str(assumed["gateway_header_bytes"]),
    }


def _of_files() -> dict[str, str]:
    """Return what backups and restores of a million points cost. They take 200 MB as CSV, the most of a file."""
    dollars, parts, steps = prices()["dollars"], files.MAX_FILE_BYTES / host.PART_BYTES, MILLION / imports.BATCH_ROWS
    run_s = parts * prices()["assumed"]["backup_part_s"]
    shared = parts * dollars["s3_write"] + run_s * spec.FUNCTIONS["files"].memory_mb / 1024 * dollars["lambda_gb_s"]

    def reading(kind: str, batch: int) -> float:
        return float(MILLION / batch * measured()[kind]["stored_bytes"] / 4096 * dollars["read_unit"])

    def writing(segments: float, size: float) -> float:
        jobs = steps * (dollars["s3_read"] + 2 * dollars["write_unit"])
        return float(jobs + segments * max(1, -(-size // 1024)) * dollars["write_unit"])

    a_point = measured()["http_100"]["stored_bytes"] / 100
    return {
        "backup": f"{shared + reading('http_100', 100):.4f}",
        "backup_alone": f"{shared + reading('http_1', 1):.4f}",
        "parts": f"{parts:.0f}",
        "backup_s": f"{run_s:.0f}",
        "restore": f"{writing(steps, a_point * imports.BATCH_ROWS):.3f}",
        "restore_alone": f"{writing(MILLION, a_point):.2f}",
        "s3_gb": f"{dollars['s3_gb_month']}",
    }


def _environments() -> list[str]:
    """Return the rows of the table of execution environments."""
    rows = []
    for environments in (1, 6, 60, _NO_CACHE):
        dollars = [
            total(cost.send(points=MILLION, batch=1, path=path, every_s=every_s, environments=environments))
            for path in ("http", "mqtt")
            for every_s in (_EVERY_S, 60)
        ]
        name = "no cache helps" if math.isinf(environments) else str(environments)
        rows.append(f"| {name} | " + " | ".join(f"{amount:.2f}" for amount in dollars) + " |")
    return rows


def _run_times() -> list[str]:
    """Return the rows of the table of run times."""
    counted = measured()
    functions = {
        "http, POST of one point": ("http", "http_1", counted["http_1"]["calls"]),
        "http, POST of 100 points": ("http", "http_100", counted["http_100"]["calls"]),
        "http, the last value": ("http", "last_value", counted["last_value"]["calls"]),
        "authorizer, token in its cache": ("authorizer", "authorizer", 0),
        "authorizer, unknown token": ("authorizer", "refused", counted["refused"]["calls"]),
        "iot-ingest, one point": ("iot-ingest", "mqtt_1", counted["mqtt_1"]["calls"]),
        "iot-ingest, 100 points": ("iot-ingest", "mqtt_100", counted["mqtt_100"]["calls"]),
        "iot-authorizer, a refresh": ("iot-authorizer", "mqtt_refresh", cost.calls_of_refresh()),
    }
    return [
        f"| {title} | {spec.FUNCTIONS[name].memory_mb} | {prices()['assumed']['cpu_ms'][kind]:g} | {calls:g} | "
        f"{run_ms(name, kind, calls):.0f} |"
        for title, (name, kind, calls) in functions.items()
    ]


def _notes() -> list[str]:
    return [f"* {note['says']}: “{note['quote']}” [Source]({note['source']})" for note in prices()["notes"]]


def _prices() -> list[str]:
    names = {price: source for source, priced in prices()["sources"].items() for price in priced}
    names |= {price: f"{names[price]}, as quoted elsewhere" for price in prices()["quoted"]}
    return [
        f"| `{name}` | {dollars:.10f}".rstrip("0") + f" | {names[name]} |"
        for name, dollars in prices()["dollars"].items()
    ]


def _cents(components: list[Component]) -> str:
    dollars = total(components)
    return f"{dollars:.2f}" if dollars >= 0.1 else f"{dollars:.4f}"


_PAGE = """# What it costs

`python -m deploy.cost_page` writes this page, and a test compares it with the code. `python -m deploy cost` prints
estimates for other numbers. The tests count calls, units and bytes on the code that is deployed. The prices are AWS's
list prices of {region} on {date}, without free tiers, tax and discounts. A device sends every {every_s} seconds unless
the line says otherwise. [scale.md](scale.md) has what whole fleets cost, and which quotas they meet.

| | dollars | if no cache helps |
|---|---|---|
{summary}

The first figure holds for one execution environment of each function, the second for very many; see *Execution
environments*. Retries of clients are not counted.

With Basic Ingest, devices publish to `$aws/rules/decant_<stage>_shared/tago/data/post`. These messages bypass the
broker, and AWS does not charge for them as messages.

## What else costs money

| | dollars |
|---|---|
{others}

* **MQTT clients.** A client costs for each minute that it is connected. IoT Core asks the authorizer again every
  {refresh_s} s. Each time it reads token, device and binding; once an hour it writes the binding and its entry in the
  device's list. A session lasts {connects} hours at most, so a client connects at least once in that time.
* **Counters.** Each segment that is written, edited, deleted or expired is a change in the stream. Lambda gathers
  changes for {counting_s} s. The counters function makes one update for each device in a batch: one write unit, and
  {update_ms} ms of run time. It makes one more for each profile, and one for the first change of a device in an hour;
  these are not in the lines. Its {threads} threads share one interpreter and one share of a processor, so that time is
  processor time; without threads an update would take {update_alone_ms} ms. A call is assumed to hold {a_call} changes.
  If fewer are sent, there is still a call a minute for each shard of the stream. The line is for {shards} shards.
* **Expiry.** DynamoDB removes expired segments free of charge. Each is a change for the counters. The line is for
  segments that expire one by one; segments of a device that expire in one batch share an update.
* **Sealing.** Points that were sent one by one are merged if they are kept for seven months or more. A device that
  sends one a minute costs {sealing} dollars a month for that; {deletes} % of it are the deletes of the single points.
  A month of its points then takes {sealed_month} dollars a month to keep instead of {single_month}, so sealing pays
  after {paid_back} months. Kept for a year, its points cost {single_year} dollars a month without sealing, and
  {sealed_year} with it. Reads get cheaper too, which is not counted. To merge 512 points is assumed to take
  {merge_ms} ms of a processor.
* **Messages to devices.** A message costs the request, three messages of IoT Core (publish, delivery and the client's
  acknowledgement; two with QoS 0), and a rule and an action. The rule of the devices' own topics matches what the API
  publishes. Its SQL leaves the message out, so the ingest function is not called.
* **The console.** On AWS a view of a device asks for new points every {poll_s} s; the line is for {watched} hours a
  month. While nothing is new it asks every 15 s, then every 30 s, which costs {slow_watch} dollars, and never while it
  is hidden. In the embedded mode points come by the event stream. The console's files come once: browsers keep them for
  a year.
* **Refused requests.** API Gateway does not charge for 401 and 429. What remains is the authorizer's call, and one
  read for a token that nobody has. At the stage's limit of {limit} requests a second, a flood of unknown tokens costs
  {flood} dollars an hour. A request that the HTTP handler refuses, as with 400, costs as much as any other,
  without the write. Whether IoT Core meters a connection that it refuses is not documented; the line counts it.
* **Alarms.** There are {alarms}. The first {free_alarms} of an account are free. Each further one costs {alarm} dollars
  a month.
* **Output.** Points that are read are counted by two write units at most: one a minute for each profile and execution
  environment, and one in ten minutes for each device. They are not in the lines.
* **The queues of API keys and of the sealer.** Lambda asks each all the time: {polls} requests a minute are counted,
  five at once for 20 s.
  The first million a month of an account are free.
* **Backups and restores.** A backup of a million points that were sent 100 a request costs {backup} dollars at most:
  one read of what is stored, {parts} parts for S3, and {backup_s} s of Lambda. Of points sent one a request it
  costs {backup_alone}. A restore costs the writes of its points, {restore} dollars if each 500 rows are of one hour
  and {restore_alone} if each is of an hour of its own, and one read of S3 and one write of the job for 500 rows.
  S3 charges {s3_gb} dollars a month for a GB of files; a profile may have one.
* **Logs.** Decant writes one line a request. API Gateway's access logs are off. A line of {access_log_bytes} bytes for
  each request would add {access_logs} to the bill of points over HTTP.
* **New execution environments.** Lambda charges for their load time. If 1 % of a million requests met a new one, that
  would cost {starts} dollars.
* **arm64** would save a fifth of Lambda's price of time: {least_saving} to {most_saving} of the lines of the first
  table, if the run times are the same. It is not the default, as nobody has measured them.
* **Free of charge:** the secret in SSM, except for a KMS request for each new execution environment; the hourly event
  of the housekeeping; the other queues and the rules without messages; expiry; reading the stream; encryption with the
  key that AWS owns.

## Execution environments

Each execution environment of a function keeps a token and a device for {cache_s} s. A device that sends every T
seconds to E environments is looked up in a share min(1, E × T / {cache_s}) of its requests, if its requests are spread
evenly. Once an hour, each environment also reads which hours the device has points in and how many points it holds.
Lambda runs about as many environments as requests are under way: a thousand devices that send every {every_s} seconds
keep {busy} of the HTTP handler busy. Dollars for a million points, one a request or message:

| environments | HTTP, every {every_s} s | HTTP, every 60 s | MQTT, every {every_s} s | MQTT, every 60 s |
|---|---|---|---|---|
{environments}

## Run times

They are computed, because only an AWS account can measure them: {runtime_ms} ms for Lambda's runtime and for rounding
up to a full millisecond; the processor time on our machine (`python -m bench.functions`), divided by the function's
share of a processor; and {service_ms} ms for each call of DynamoDB or IoT Core. A look-up takes another call.

| | memory, MB | processor time, ms | calls | run time, ms |
|---|---|---|---|---|
{times}

Data that leaves AWS is the body and headers of each answer, with {header_bytes} bytes for the headers that API Gateway
adds, without TLS. Most HTTP clients accept gzip, which makes an answer of 1,000 points {ratio} times
shorter.

## What AWS says

{notes}

## Prices

| | dollars | source |
|---|---|---|
{prices}

## Details

{details}
"""


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs/cost.md").write_text(page())
