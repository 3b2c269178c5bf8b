"""The servers under test: starts them, each as a process on the first core, and looks at their memory."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.driver import Load

ROOT = Path(__file__).parents[1]


@dataclass
class Server:
    """A server under test. ``token`` is a device token, for a server that this program did not start."""

    name: str
    url: str
    token: str = ""
    profile_token: str = ""
    mqtt_port: int = 0
    websocket_port: int = 0
    """Where MQTT over WebSocket is taken."""
    process: "subprocess.Popen[str] | None" = None
    startup_s: float = 0.0
    stored: dict[int, Load] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    """The tokens of devices that a scene has filled, by name."""

    def fresh(self) -> str:
        """Return the token of a device without points and without a limit on their number."""
        if not self.profile_token:
            return self.token or os.urandom(8).hex()
        body = {"name": "Bench", "type": "immutable", "chunk_period": "month", "chunk_retention": 36}
        request = urllib.request.Request(
            self.url + "/device",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Profile-Token": self.profile_token},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["result"]["token"]

    def memory_mb(self, name: str = "VmRSS") -> float | None:
        """Return the resident memory in MB, or None for a server that this program did not start.

        Args:
            name: ``VmRSS``, what it has now, or ``VmHWM``, the most since ``forget_peak``.
        """
        if self.process is None:
            return None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024

    def processor_s(self) -> float:
        """Return how many seconds of processor time the server has used; 0 for one that this program did not start."""
        if self.process is None:
            return 0.0
        figures = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        """Let ``VmHWM`` begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pin(core: int, process_id: int = 0) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(process_id, {core})


@contextlib.contextmanager
def started(name: str, directory: Path, checkout: Path = ROOT) -> Iterator[Server]:
    """Start a server on the first core and wait until it answers.

    Args:
        name: decant, unsealed, naive or empty.
        directory: a folder for the server's data and log. It is created if it does not exist.
        checkout: the checkout of Decant: this one, or an older one to compare with.
    """
    directory.mkdir(exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "DECANT_DATA_DIR": str(directory / "data"),
        "DECANT_HTTP_PORT": str(port),
        "DECANT_MQTT_PORT": str(mqtt_port := free_port()),
        "NAIVE_DB": str(directory / "naive.db"),
        "BENCH_PORT": str(port),
    }
    module = f"bench.{name}"
    if name == "decant":  # the others are modules of this folder
        module = "embedded" if (checkout / "embedded").exists() else "local"  # the name in release 0.1.0
    with (directory / f"{name}.log").open("w+") as log:
        began_s = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", module], cwd=checkout, env=environment, stdout=log, text=True)
        pin(0, process.pid)
        try:
            server = Server(name, url, process=process, mqtt_port=mqtt_port, websocket_port=port)
            server.startup_s = wait_for(server, began_s)
            while name in ("decant", "unsealed") and not server.profile_token:
                match = re.search(r"Profile token +(\S+)\n", Path(log.name).read_text())
                server.profile_token = match[1] if match else ""
            yield server
        finally:
            process.terminate()
            process.wait()


def wait_for(server: Server, began_s: float) -> float:
    while True:
        try:
            urllib.request.urlopen(server.url + "/status", timeout=5).close()
        except urllib.error.HTTPError:
            pass
        except OSError:
            if server.process is not None and server.process.poll() is not None:
                raise
            time.sleep(0.005)
            continue
        return time.perf_counter() - began_s


@contextlib.contextmanager
def started_peer() -> Iterator[Server]:
    """Start the MQTT broker to compare with on the first core."""
    port, websocket_port = free_port(), free_port()
    command = [sys.executable, "-W", "ignore", "-m", "bench.peer_mqtt", str(port), str(websocket_port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pin(0, process.pid)
    try:
        process.stdout.readline()
        yield Server("amqtt", "", process=process, mqtt_port=port, websocket_port=websocket_port)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def describe() -> str:
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores of {model[1] if model else 'an unknown kind'}, Python {version}, {sys.platform}"
