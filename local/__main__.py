"""``python -m local``: the API on this machine.

Environment: DECANT_HOST (127.0.0.1), DECANT_HTTP_PORT (8000), DECANT_DATA_DIR (data), DECANT_PROFILE_TOKEN and
DECANT_DEVICE_TOKEN (the texts of the first tokens; random when not set), DECANT_SYNCHRONOUS (FULL or NORMAL), and what
chalicelib/settings.py names.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop

from chalicelib import clock, errors, log, secret, settings, store
from chalicelib.services import erasures
from chalicelib.store.sqlite import SqliteStore
from local import seed
from local.gateway import Gateway, GroupCommit

_DAY_S = 86_400
_FLUSH_S = 0.2
"""A system call a line would be a twentieth of what a request costs."""

_WELCOME = """
Decant is ready.

  Base URL        {url}
  Profile token   {profile}
  Device token    {device}

Send a point, and read it back:

  curl -X POST {url}/data -H 'Device-Token: {device}' -H 'Content-Type: application/json' \\
    -d '{{"variable": "temperature", "value": 21.5, "unit": "C"}}'
  curl '{url}/data?query=last_value' -H 'Device-Token: {device}'

The official SDKs need two environment variables:

  export TAGOIO_API={url}
  export TAGOIO_SSE={url}/events
"""


class _Server(uvicorn.Server):
    """A server that ends its loop on a signal; uvicorn's own raises the signal again, before anything is flushed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while serving."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(here: SqliteStore, host: str, port: int, tokens: seed.Seed) -> None:
    from app import app  # noqa: PLC0415 - after the settings are set

    app.api.binary_types[:] = ["application/octet-stream"]
    commits = GroupCommit(here, is_alone=lambda: len(server.server_state.tasks) <= 1)
    config = uvicorn.Config(
        Gateway(app, list(app.routes), commits), host=host, port=port, http="httptools", ws="none", lifespan="off",
        proxy_headers=False, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        bound = server.servers[0].sockets[0].getsockname()[1]
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only compared
        url = f"http://{f'[{shown}]' if ':' in shown else shown}:{bound}"
        print(_WELCOME.format(url=url, profile=tokens.profile_token, device=tokens.device_token), flush=True)
    lines: list[str] = []
    log.write = lines.append
    # What was imported stays: it need not be looked at again and again for garbage.
    gc.collect()
    gc.freeze()
    flushing = asyncio.create_task(_flush_often(lines))
    purging = asyncio.create_task(_purge_daily(here))
    await serving
    purging.cancel()
    flushing.cancel()
    _flush(lines)


async def _flush_often(lines: list[str]) -> None:
    while True:
        await asyncio.sleep(_FLUSH_S)
        _flush(lines)


def _flush(lines: list[str]) -> None:
    sys.stdout.write("".join(lines))
    sys.stdout.flush()
    lines.clear()


async def _purge_daily(here: SqliteStore) -> None:
    while True:
        with contextlib.suppress(errors.Unavailable):
            here.purge()
            erasures.resume()
        await asyncio.sleep(_DAY_S - clock.now_ms() / 1000 % _DAY_S)


def main() -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    directory = Path(os.environ.get("DECANT_DATA_DIR") or "data")
    host = os.environ.get("DECANT_HOST") or "127.0.0.1"
    try:
        port = int(os.environ.get("DECANT_HTTP_PORT") or "8000")
        held = seed.lock(directory)
    except (ValueError, OSError, seed.InUse) as error:
        print(f"Cannot start: {error}", file=sys.stderr)
        return 1
    os.environ.setdefault("DECANT_PROFILE_MAY_SEND", "1")
    settings.use(settings.load())
    secret.use(seed.read_secret(directory))
    here = SqliteStore(directory / "decant.db", synchronous=os.environ.get("DECANT_SYNCHRONOUS") or "FULL")
    store.use(here)
    here.grouped = True
    try:
        tokens = seed.seed(
            profile_token=os.environ.get("DECANT_PROFILE_TOKEN") or None,
            device_token=os.environ.get("DECANT_DEVICE_TOKEN") or None,
        )
        if here.in_transaction:
            here.commit()
    except errors.ApiError as error:
        print(f"Cannot start: {error.message}", file=sys.stderr)
        return 1
    uvloop.run(_serve(here, host, port, tokens))
    here.close()
    held.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
