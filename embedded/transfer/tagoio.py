"""``python -m embedded import --from-tagoio``: copies the devices of a profile of TagoIO, with what belongs to them.

A copy has a tag ``tagoio_id``, so a further run finds it. Then it goes on: it adds what is missing, and copies the
points from where the last run ended. Texts of tokens cannot be copied: new ones with the same names are made.
"""

import argparse
import csv
import hashlib
import io
import re
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.codec import csvtext, jsontext
from chalicelib.host import clock
from embedded.client import Api, Refused, Stopped
from embedded.transfer import sources
from embedded.transfer.exporting import bounds_of
from embedded.transfer.files import Problems, State, replace, told
from embedded.transfer.importing import SOME_REFUSED, check
from embedded.transfer.pages import Cursor, Point, Range, read
from embedded.transfer.progress import Shown, counted, tell
from embedded.transfer.sending import Batch, Checked, Sender, batches
from embedded.transfer.target import find

_TAG = "tagoio_id"
_ID = re.compile(r"[A-Za-z0-9]{1,64}")
"""What an id of a device of TagoIO looks like, at most."""
_FIELDS = (
    "id", "name", "description", "active", "visible", "type", "tags", "payload_decoder", "chunk_period",
    "chunk_retention", "rpm",
)  # fmt: skip
_COPIED = ("name", "description", "visible", "chunk_period", "chunk_retention")
_TOKEN_FIELDS = ("name", "token", "permission", "serie_number", "expire_time")
_LAST = {"active": True, "payload_decoder": None, "rpm": None}
"""What a copy has while points are copied: a device that is inactive, parses or limits itself would not take them."""


class _Copy(NamedTuple):
    """A device of TagoIO and its copy."""

    source: dict[str, Any]
    id: str
    """Of the copy."""


def run(given: argparse.Namespace, api: Api) -> int:
    """Copy devices with tags, tokens, parameters and points; return the exit status: 3 if something was refused.

    Raises:
        ValueError: a date or a file is wrong.
        Stopped: a server cannot be reached or refuses.

    Cost: some requests for each device, then two for 1,000 to 10,000 points.
    """
    source = Api(given.tagoio_url, given.tagoio_token, patience_s=given.patience)
    folder = Path(given.folder)
    bounds = bounds_of(given)
    with told(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(Problems(folder / "errors.csv")) as problems:
            try:
                copies = _copy_all(source, api, given.only, problems)
                tell(f"{counted(len(copies), 'device')} copied")
                _write_tokens(folder / "tokens.csv", api, copies)
                points = sum(_copy_points(source, api, copy, bounds, folder, problems) for copy in copies)
            except Refused as error:
                raise Stopped(f"A server refuses: {error}") from None
    refused = f"; {problems.count:,} refused, listed in {problems.path}" if problems.count else ""
    tell(f"{counted(points, 'point')} stored{refused}")
    return SOME_REFUSED if problems.count else 0


def _copy_all(source: Api, target: Api, wanted: list[str], problems: Problems) -> list[_Copy]:
    """Copy the devices, without points. One that the server refuses is listed."""
    devices = source.pages("/device", _FIELDS)
    for device in devices:  # the id becomes the name of a file, and a part of paths
        if not _ID.fullmatch(str(device["id"])):
            raise Stopped(f"{device['id']!r} is no id of a device: is {source.url} TagoIO?")
    if missing := sorted(set(wanted) - {device["id"] for device in devices}):
        raise ValueError(f"TagoIO has no device {missing[0]} in this profile")
    known = {
        tag["value"]: device["id"]
        for device in target.pages("/device", ("id", "tags"))
        for tag in device["tags"]
        if tag["key"] == _TAG
    }
    copies = []
    with Shown("Copying devices") as shown:
        chosen = [device for device in devices if not wanted or device["id"] in wanted]
        for number, device in enumerate(chosen, 1):
            tokens = source.pages(f"/device/token/{device['id']}", _TOKEN_FIELDS)
            try:
                copy = _Copy(device, known.get(device["id"]) or _create(target, device, tokens))
            except Refused as error:
                if error.status not in (400, 402):
                    raise
                problems.add(device["id"], device["name"], error)
                continue
            _add_tokens(target, copy, tokens, problems)
            _add_params(source, target, copy)
            copies.append(copy)
            shown.step(number, len(chosen), device["name"])
    return copies


def _create(target: Api, device: dict[str, Any], tokens: list[dict[str, Any]]) -> str:
    """Create the copy of a device; return its id."""
    serial = next((token.get("serie_number") for token in tokens if token["name"] == "Default"), None)
    body = {name: device[name] for name in _COPIED if device.get(name) is not None}
    body["type"] = "mutable" if device["type"] == "legacy" else device["type"]
    tags = [{"key": tag["key"], "value": tag["value"]} for tag in device["tags"]]
    body["tags"] = [*tags, {"key": _TAG, "value": device["id"]}]
    if serial:
        body["serie_number"] = serial
    made: str = target.call("POST", "/device", body=body)["device_id"]
    return made


def _add_tokens(target: Api, copy: _Copy, tokens: list[dict[str, Any]], problems: Problems) -> None:
    """Make the tokens that the copy lacks, by their names."""
    present = Counter(token["name"] for token in target.pages(f"/device/token/{copy.id}", ("name",)))
    for token in reversed(tokens):
        if present[token["name"]]:
            present[token["name"]] -= 1
            continue
        body = {"device": copy.id, "name": token["name"], "permission": token["permission"]}
        body |= {name: token[name] for name in ("serie_number", "expire_time") if token.get(name)}
        try:
            target.call("POST", "/device/token", body=body)
        except Refused as error:
            problems.add(copy.source["id"], f"token {token['name']}", error)


def _add_params(source: Api, target: Api, copy: _Copy) -> None:
    """Make the configuration parameters that the copy lacks, by their keys."""
    present = Counter(param["key"] for param in target.call("GET", f"/device/{copy.id}/params"))
    missing = []
    for param in source.call("GET", f"/device/{copy.source['id']}/params"):
        if present[param["key"]]:
            present[param["key"]] -= 1
        else:
            missing.append({name: param[name] for name in ("key", "value", "sent") if param.get(name) is not None})
    if missing:
        target.call("POST", f"/device/{copy.id}/params", body=missing)


def _write_tokens(path: Path, target: Api, copies: list[_Copy]) -> None:
    """Write all tokens of the copies into a file that only this user may read."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("tagoio_device", "device", "device_name", "token_name", "permission", "serial", "token"))
    for copy in copies:
        for token in target.pages(f"/device/token/{copy.id}", _TOKEN_FIELDS):
            rows.writerow(
                csvtext.guarded(str(cell or "")) for cell in (
                    copy.source["id"], copy.id, copy.source["name"], token["name"], token["permission"],
                    token["serie_number"], token["token"],
                )
            )  # fmt: skip
    replace(path, text.getvalue().encode())
    tell(f"The new tokens are in {path}")


def _copy_points(
    source: Api, target: Api, copy: _Copy, bounds: list[str | None], folder: Path, problems: Problems
) -> int:
    """Copy the points of a device from where the last run ended; return how many were stored."""
    state = State(folder / f"{copy.source['id']}.state")
    work = {"source": source.url, "target": target.url, "device": copy.id, "bounds": bounds}
    kept = state.read(**work)
    cursor = Cursor(*kept.get("cursor", ()))
    final = {name: copy.source.get(name, default) for name, default in _LAST.items()}
    if final != _LAST:
        target.call("PUT", f"/device/{copy.id}", body=_LAST)
    to = find(target, copy.id).sending()
    sender = Sender(to.api, to.path, problems)
    passed: deque[Point] = deque()
    what = Range(f"/device/{copy.source['id']}/data", *bounds)
    entries = _checked((point for page, _ in read(source, what, cursor) for point in page), passed, copy, problems)
    stored = sent = 0
    with Shown(f"Copying the points of {copy.source['name']}") as shown:
        for batch in _as_before(entries, kept.get("pending", 0)):
            if batch.entries - sent < 1:
                continue
            points = [passed.popleft() for _ in range(batch.entries - sent)]
            state.write(**work, cursor=cursor, pending=len(points))
            body = b",".join(point.text for point in batch.points)
            stored += sender.send(batch.points, f"{copy.source['id']}-{hashlib.sha256(body).hexdigest()}")[0]
            sent, cursor = batch.entries, cursor.after(points)
            problems.flush()
            state.write(**work, cursor=cursor, pending=0)
            shown.step(sent, None, counted(sent, "point"))
    if final != _LAST:
        target.call("PUT", f"/device/{copy.id}", body=final)
    return stored


def _as_before(entries: Iterator[Checked | None], pending: int) -> Iterator[Batch]:
    """Cut points into batches, the first one as the run before did that was killed.

    The last batch of that run ended where TagoIO had no more points then. If it has more now, the batch would be
    another one, and its points be stored twice.
    """
    if pending:
        first = list(islice(entries, pending))
        yield Batch([point for point in first if point is not None], len(first))
        pending = len(first)
    yield from batches(entries, pending)


def _checked(
    points: Iterator[Point], passed: deque[Point], copy: _Copy, problems: Problems
) -> Iterator[Checked | None]:
    """Yield the points that keep the rules of the API; None for what is refused, which is listed."""
    now_ms = clock.now_ms()
    for point in points:
        passed.append({"id": point["id"], "time": point["time"]})
        where = f"{copy.source['id']} {point['id']}"
        try:
            yield check(where, sources.typed(jsontext.dumps(point).encode()), now_ms)
        except (TypeError, ValueError) as error:
            problems.add(where, error)
            yield None
