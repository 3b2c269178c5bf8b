"""Checks over HTTPS: points, the answers that API Gateway gives by itself, and the limits of the price plans."""

import gzip
import json
import re
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from chalicelib import __version__, settings
from chalicelib.http.answers import PREFLIGHT
from chalicelib.http.site import CONSOLE, POLICIES
from chalicelib.services.usage import plans
from deploy.live.api import THREADS, Answer, differences
from deploy.live.site import Check, Finding, Site, nonce

_LIMITED = "GET /device"
_MINUTE = plans.load()["free"].per_minute[_LIMITED]
_BURST = 2 * _MINUTE + 20
"""More than a bucket of one minute holds, and more than flows into it meanwhile."""
_MOST = 4 * _MINUTE
"""How many requests may pass before a limit counts as missing: API Gateway's limits are targets, not exact."""
_ROUND = 20
"""How many requests are sent before their answers are looked at."""


def status(site: Site) -> Finding:
    """What is deployed says that it is healthy, and has the version of this program."""
    told = site.api.ask("GET", "/status").result
    faults = [] if told.get("health") == "ok" else ["expected health ok"]
    if told.get("version") != __version__:
        faults.append(f"this program is {__version__}: run `up`")
    return Finding(f"version {told.get('version')}, {told.get('store')}, health {told.get('health')}", faults)


def point(site: Site) -> Finding:
    """A point is stored and read back."""
    value = int(nonce(), 16)
    sent = site.api.ask("POST", "/data", site.device.token, {"variable": "live_https", "value": value})
    told = sent.result
    read = site.point("live_https")
    faults = [] if told == "1 Data Added" else [f"told: {told}"]
    if read is None or read["value"] != value:
        faults.append("the point was not read back")
    return Finding(f"stored in {sent.took_ms:.0f} ms, connection included", faults)


def compressed_body(site: Site) -> Finding:
    """A point that is sent in gzip is stored: API Gateway inflates the body."""
    value = int(nonce(), 16)
    body = gzip.compress(json.dumps({"variable": "live_gzip", "value": value}).encode())
    told = site.api.ask("POST", "/data", site.device.token, body, {"Content-Encoding": "gzip"}).result
    read = site.point("live_gzip")
    return Finding(told, [] if read and read["value"] == value else ["the point was not read back"])


def console(site: Site) -> Finding:
    """A browser is led to the console, which has its policy, and whose scripts come compressed and stay for a year."""
    root = site.api.ask("GET", "/", headers={"Accept": "text/html"})
    page = site.api.ask("GET", "/console")
    if page.status == 404 and page.body:
        return Finding(page.body["message"], is_note=True)
    names = re.findall(r'"(console/[\w.-]+\.js)"', page.text)
    script = site.api.ask("GET", f"/{names[0]}", headers={"Accept-Encoding": "gzip"}) if names else page
    wanted = {
        "/ is 303 to the console": root.status == 303 and root.headers.get("location", "").endswith("/console"),
        "the page is HTML": page.status == 200 and page.headers.get("content-type", "").startswith("text/html"),
        "the page has its policy": page.headers.get("content-security-policy") == POLICIES[CONSOLE],
        "the page names a script": bool(names),
        "the script is compressed": script.headers.get("content-encoding") == "gzip",
        "the script stays for a year": "immutable" in script.headers.get("cache-control", ""),
    }
    seen = f"{root.status} to {root.headers.get('location')}, {page.status}, {script.status}"
    return Finding(seen, [f"not so: {what}" for what, is_so in wanted.items() if not is_so])


def no_token(site: Site) -> Finding:
    """A request without a token is refused."""
    return _refused(site.api.ask("GET", "/data"), "ACCESS_DENIED")


def bad_token(site: Site) -> Finding:
    """A request with an unknown token is refused."""
    return _refused(site.api.ask("GET", "/data", str(uuid.uuid4())), "ACCESS_DENIED")


def unknown_route(site: Site) -> Finding:
    """A path that no route has is answered."""
    return _refused(site.api.ask("GET", f"/live-{nonce()}", site.device.token), "MISSING_AUTHENTICATION_TOKEN")


def too_large(site: Site) -> Finding:
    """A body over the limit is refused."""
    body = b" " * (settings.MAX_BODY_BYTES + 1)
    return _refused(site.api.ask("POST", "/data", site.device.token, body), "REQUEST_TOO_LARGE")


def preflight(site: Site) -> Finding:
    """A browser may ask from a page of another origin, without a token."""
    answer = site.api.ask("OPTIONS", "/data", headers={"Origin": "https://example.com"})
    wanted = {"Access-Control-Allow-Origin": "*", **PREFLIGHT}
    faults = [] if answer.status == 200 else ["expected 200"]
    faults += [
        f"{name}: {answer.headers.get(name.lower())}"
        for name in wanted
        if answer.headers.get(name.lower()) != wanted[name]
    ]
    return Finding(str(answer.status), faults)


def limit(site: Site) -> Finding:
    """The usage plan of ``free`` limits a route."""
    started_s = site.patience.now_s()
    answers: list[Answer] = []
    while len(answers) < _MOST and not (answers and answers[-1].status == 429):
        answers += sorted(_burst(site, site.free.token, _ROUND), key=lambda answer: answer.status == 429)
    seen = f"{_counted(answers)} in {site.patience.now_s() - started_s:.1f} s; the plan has {_MINUTE} a minute"
    if answers[-1].status != 429:
        return Finding(seen, ["expected 429"])
    return Finding(seen, differences(answers[-1], "THROTTLED"))


def no_limit(site: Site) -> Finding:
    """The usage plan of ``unlimited``, which has no throttle, limits nothing."""
    started_s = site.patience.now_s()
    answers = _burst(site, site.unlimited.token, _BURST)
    seen = f"{_counted(answers)} in {site.patience.now_s() - started_s:.1f} s"
    refused = [answer for answer in answers if answer.status != 200]
    return Finding(seen, [f"expected only 200, but: {refused[0].text[:200]}"] if refused else [])


def authorizer_exception(site: Site) -> Finding:
    """A request whose authorizer raises is answered as promised. It rings the authorizer's alarm once."""
    found = _refused(site.api.ask("GET", "/info", site.temporary.damaged_token()), "AUTHORIZER_FAILURE")
    return found._replace(seen=f"{found.seen} (this rings the alarm of the authorizer's errors once)")


def _refused(answer: Answer, name: str) -> Finding:
    retry_after = answer.headers.get("retry-after")
    seen = f"{answer.status} `{answer.text[:300]}`" + (f", Retry-After {retry_after}" if retry_after else "")
    return Finding(seen, differences(answer, name))


def _burst(site: Site, token: str, times: int) -> list[Answer]:
    """Send a request many times, some at once."""
    method, path = _LIMITED.split()
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda _: site.api.ask(method, path, token), range(times)))


def _counted(answers: list[Answer]) -> str:
    statuses = Counter(answer.status for answer in answers)
    return ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))


CHECKS: tuple[tuple[str, Check], ...] = (
    ("Status", status),
    ("Point over HTTPS", point),
    ("Body in gzip", compressed_body),
    ("Console", console),
    ("401, no token", no_token),
    ("401, bad token", bad_token),
    ("404, unknown route", unknown_route),
    ("413, body too large", too_large),
    ("Preflight", preflight),
    ("429, plan free", limit),
    ("Plan unlimited", no_limit),
    ("Exception of the authorizer", authorizer_exception),
)
