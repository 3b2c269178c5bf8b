"""Runs the embedded mode as a process."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

from tests.kit import openapi
from tests.kit.api import ROUTER

ROOT = Path(__file__).parents[1]


def fresh_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("DECANT_", "COV_"))}


class Program:
    """``python -m embedded`` on a data directory. The constructor waits for the end of the welcome.

    Args:
        directory: the data directory.
        files: how many files it may open; None: as many as this process.
        environment: the settings.
    """

    is_cloud = False

    def __init__(self, directory, files=None, **environment):
        command = [sys.executable, "-m", "embedded"]
        if files is not None:
            command = ["bash", "-c", f'ulimit -n {files} && exec "$@"', "bash", *command]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=fresh_environment()
            | {"DECANT_DATA_DIR": str(directory), "DECANT_HTTP_PORT": "0", "DECANT_MQTT_PORT": "0"}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.welcome = ""
        for line in self.process.stdout:
            self.welcome += line
            if "TAGOIO_SSE" in line:
                break
        self._lines = []
        self._reading = threading.Thread(target=self._lines.extend, args=(self.process.stdout,), daemon=True)
        self._reading.start()
        found = re.search(r"Base URL +(\S+)\n +Profile token +(\S+)\n +Device token +(\S+)", self.welcome)
        if found:
            self.url, self.profile_token, self.device_token = found.groups()
            self.email = re.search(r"Account +(\S+)\n", self.welcome)[1]
            shown = re.search(r"Password +(\S+) ", self.welcome)
            self.password = shown[1] if shown else environment.get("DECANT_PASSWORD")
            self.mqtt_port = int(re.search(r"MQTT +127.0.0.1:(\d+)", self.welcome)[1])

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        return code, *self.close()

    def close(self):
        """End the process if it still runs; return its output."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)
        self._reading.join()
        self.process.stdout.close()
        with self.process.stderr as errors:
            return "".join(self._lines), errors.read()

    def memory_mb(self):
        """Return the resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def call(self, method, path, token=None, body=None):
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Device-Token": token or self.device_token, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(_checked(method, path, answer))["result"]
        except urllib.error.HTTPError as error:
            with error:
                _checked(method, path, error)
                return error.code


def _checked(method, path, answer):
    """Return the text of an answer, if it is one that the OpenAPI document lists."""
    text = answer.read().decode()
    found = ROUTER.find(path.partition("?")[0])
    if found is not None:
        openapi.check_answer(method, found[0], answer.status, answer.headers["Content-Type"], text)
    return text
