"""Serves HTTP and MQTT on a data folder until a signal comes."""

import asyncio
import contextlib
import dataclasses
import functools
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import uvicorn
import uvloop
from chalice.app import Chalice

from chalicelib import errors, settings
from chalicelib.host import dead_letters, events, log, mail, mqtt, webhooks
from chalicelib.host import files as host_files
from chalicelib.host import jobs as host_jobs
from chalicelib.http import site
from chalicelib.services.usage import outputs
from chalicelib.store.sqlite import SqliteStore
from embedded import chores, files, folder, letters, listeners, metrics, operator, seed
from embedded.commits import SLOW_S, Disk, GroupCommit, sync_time_s
from embedded.connections import Connections
from embedded.events import Events
from embedded.gateway import Gateway, remember_content_types
from embedded.mail import Printed, Smtp
from embedded.metrics import Metrics
from embedded.mqtt.broker import Broker
from embedded.mqtt.connection import Connection
from embedded.output import Handler, Output
from embedded.protocol import BoundedHttp
from embedded.settings import EmbeddedSettings, is_local
from embedded.site import Site
from embedded.workers import Workers

_GC_THRESHOLDS = (50_000, 20, 100)
"""Requests leave few reference cycles, so the collector runs after this many new objects, not after Python's 700."""

_WELCOME = """
Decant is ready.

  Console         {url}/console{note}
  Base URL        {url}
  Profile token   {profile}
  Device token    {device}
  MQTT            {host}:{mqtt}
  Account         {account}

Send a point, and read it back:

  curl -X POST {url}/data -H 'Device-Token: {device}' -H 'Content-Type: application/json' \\
    -d '{{"variable": "temperature", "value": 21.5, "unit": "C"}}'
  curl '{url}/data?query=last_value' -H 'Device-Token: {device}'

The same over MQTT:

  mosquitto_pub -h {host} -p {mqtt} -u Token -P {device} -q 1 -t tago/data/post \\
    -m '{{"variable": "temperature", "value": 22}}'

The official SDKs need two environment variables:

  export TAGOIO_API={url}
  export TAGOIO_SSE={url}/events
"""
_PASSWORD = "\n  Password        {}   (shown only this once)"  # noqa: S105 - a template


class _Server(uvicorn.Server):
    """A server that ends its loop on a signal. Uvicorn's own raises the signal again before anything is flushed."""

    on_exit: tuple[Callable[[], None], ...] = ()
    """Called on a signal, before the server ends."""
    has_failed = False

    def fail(self) -> None:
        """End the server, as the disk does not keep what is written."""
        print("The disk failed to sync. Nothing that was acknowledged is lost. Check the disk.", file=sys.stderr)
        self.has_failed = True
        self.handle_exit(signal.SIGTERM, None)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Call ``on_exit``, which closes connections that never end by themselves, then end the server."""
        for end in self.on_exit:
            end()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while serving."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(sqlite: SqliteStore, options: EmbeddedSettings, tokens: seed.Seed, disk: Disk | None) -> int:
    """Serve HTTP and MQTT until a signal comes or the disk fails; return the exit status.

    Raises:
        ValueError: an address or a port cannot be used.
    """
    commits = GroupCommit(sqlite, is_alone=lambda: requests() <= 1, disk=disk)
    workers = Workers(sqlite.path)
    workers.limit_the_loop()
    stream = Events(lambda then: commits.settle(then, is_alone=False))
    connections = Connections(listeners.connection_limit(), asyncio.get_running_loop().time())
    mqtt_broker = Broker(commits, connections, workers, is_quiet=lambda: requests() == 0)
    events.use(stream)
    mqtt.use(mqtt_broker)
    webhooks.use(webhooks.in_threads())
    app = _app()
    shown = Metrics(metrics.of_server(commits, mqtt_broker, stream), options.metrics_token, settings.current().url)
    profile_files = files.Folder(options.data_dir)
    host_files.use(profile_files)
    host_jobs.use(host_jobs.nobody)
    gateway = Gateway(app, list(app.routes), commits, workers, (Site(), stream, shown, profile_files))
    http = functools.partial(BoundedHttp, connections, lambda: Connection(mqtt_broker))
    server = _http_server(options, gateway, http)
    server.on_exit = (stream.close, mqtt_broker.close, workers.stop)
    if disk is not None:
        disk.on_failure = server.fail

    def requests() -> int:
        return len(server.server_state.tasks) - stream.count

    try:
        mqtt_servers = await listeners.listen(mqtt_broker, options)
        http_sockets = listeners.bind_http(options)
    except (OSError, ValueError) as error:
        raise ValueError(str(error)) from None
    serving = asyncio.create_task(server.serve(http_sockets))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        _welcome(options.host, http_sockets[0], mqtt_servers[0], tokens)
    output = _log_from_now_on()
    _collect_seldom()
    running = [
        asyncio.create_task(chore)
        for chore in (*chores.of(sqlite, commits, workers), listeners.sweep_often(mqtt_broker, connections))
    ]
    await serving
    for mqtt_server in mqtt_servers:
        mqtt_server.close()
    for chore in running:
        chore.cancel()
    workers.close()
    outputs.write()
    if disk is not None:
        disk.close()
    output.close()
    return int(server.has_failed)


def _mails(options: EmbeddedSettings) -> Printed | Smtp:
    """Return what sends mails. Raises ValueError: mails have no sender."""
    if not options.smtp_host:
        return Printed()
    if not settings.current().mail_from:
        raise ValueError("DECANT_SMTP_HOST needs DECANT_MAIL_FROM, the address that mails come from")
    return Smtp(
        host=options.smtp_host, port=options.smtp_port, sender=settings.current().mail_from, user=options.smtp_user,
        password=options.smtp_password,
    )  # fmt: skip


def _app() -> Chalice:
    """Return the Chalice app. It is loaded after the settings are set."""
    from app import app  # noqa: PLC0415

    app.api.binary_types[:] = ["application/octet-stream"]
    return app


def _http_server(options: EmbeddedSettings, gateway: Gateway, http: Callable[..., BoundedHttp]) -> _Server:
    remember_content_types()
    config = uvicorn.Config(
        gateway, host=options.host, port=options.http_port,
        http=cast("Any", http), ws="none", lifespan="off", proxy_headers=False,
        log_level="warning", access_log=False, server_header=False, log_config=None, timeout_graceful_shutdown=5,
    )  # fmt: skip
    return _Server(config)


def _log_from_now_on() -> Output:
    """Send all log lines, also those of libraries, through a thread that writes them to stdout."""
    from app import app  # noqa: PLC0415 - after the settings are set

    output = Output(None if sys.stdout is None else sys.stdout.fileno())
    log.use(output.write)
    logging.basicConfig(handlers=[Handler()], level=logging.WARNING, force=True)
    app.log.handlers[:] = [Handler()]
    return output


def _collect_seldom() -> None:
    """Collect garbage seldom. The imported objects live as long as the process: the collector need not visit them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _welcome(host: str, http_socket: socket.socket, mqtt_server: asyncio.Server, tokens: seed.Seed) -> None:
    http_port = http_socket.getsockname()[1]
    shown_host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only compared
    url = f"http://{f'[{shown_host}]' if ':' in shown_host else shown_host}:{http_port}"
    if not settings.current().url:
        settings.use(dataclasses.replace(settings.current(), url=url))
    text = _WELCOME.format(
        url=url,
        note="" if site.files() else "   (not built)",
        host=shown_host,
        mqtt=mqtt_server.sockets[0].getsockname()[1],
        profile=tokens.profile_token,
        device=tokens.device_token,
        account=tokens.email + (_PASSWORD.format(tokens.password) if tokens.password else ""),
    )
    with contextlib.suppress(OSError):  # nobody reads it
        print(text, flush=True)


def _set_default(variable: str, text: str) -> None:
    """Set a variable of the environment unless it is set. An empty one counts as not set."""
    os.environ[variable] = os.environ.get(variable) or text


def serve(options: EmbeddedSettings) -> int:
    """Serve a data folder; return the exit status. Raises ValueError or Unusable: it cannot start."""
    _set_default("DECANT_PROFILE_MAY_SEND", "1")
    if is_local(options.host) and not os.environ.get("DECANT_URL"):
        _set_default("DECANT_SIGN_UP", "open")
    settings.use(settings.load())
    mails = _mails(options)
    mail.use(mails)
    with folder.lock(options.data_dir), contextlib.closing(mails):
        is_slow = options.synchronous == "FULL" and sync_time_s(options.data_dir) > SLOW_S
        with operator.opened(options.data_dir, "NORMAL" if is_slow else options.synchronous) as sqlite:
            tokens = _seed(sqlite, options)
            dead_letters.use(letters.Letters().keep)
            listeners.raise_file_limit()
            return uvloop.run(_serve(sqlite, options, tokens, Disk(sqlite) if is_slow else None))


def _seed(sqlite: SqliteStore, options: EmbeddedSettings) -> seed.Seed:
    """Prepare the first start. From now on, requests are committed in groups. Raises Unusable."""
    sqlite.grouped = True
    try:
        tokens = seed.seed(
            profile_token=options.profile_token, device_token=options.device_token, email=options.email,
            password=options.password,
        )  # fmt: skip
        if sqlite.in_transaction:
            sqlite.commit()
    except errors.ApiError as error:
        raise folder.Unusable(error.message) from None
    return tokens
