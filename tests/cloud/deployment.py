"""A real deployment, which the environment names. Tests that need an AWS account run against it."""

import json
import os
import urllib.error
import urllib.request
import uuid

NEEDED = {
    "ALLOW_AWS": "1",
    "DECANT_API": "the base URL that `deploy up` printed, without a slash at its end",
    "DECANT_PROFILE_TOKEN": "the profile token that it printed",
}
OPTIONAL = {"DECANT_MQTT": "the host of the MQTT endpoint that it printed"}


def is_named():
    """Return whether the environment names a deployment and allows tests to use it."""
    return os.environ.get("ALLOW_AWS") == "1" and all(os.environ.get(name) for name in NEEDED)


class Deployment:
    """Has the methods of ``tests.program.Program`` that tests of the embedded mode use."""

    is_cloud = True

    def __init__(self):
        self.url, self.profile_token = os.environ["DECANT_API"].rstrip("/"), os.environ["DECANT_PROFILE_TOKEN"]
        self.mqtt_host = os.environ.get("DECANT_MQTT")
        self.made = []

    def ask(self, method, path, token=None, body=None, headers=None):
        """Return status, headers and the answer's JSON."""
        sent = {"Content-Type": "application/json"} | ({"token": token} if token else {}) | (headers or {})
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.load(error)

    def device(self, **fields):
        """Create a device that is deleted when the tests end; return its id and token."""
        name = {"name": f"cloud test {uuid.uuid4().hex[:8]}"}
        made = self.ask("POST", "/device", self.profile_token, name | fields)[2]["result"]
        self.made.append(made["device_id"])
        return made["device_id"], made["token"]

    def close(self):
        """Delete the devices that were created."""
        for device in self.made:
            self.ask("DELETE", f"/device/{device}", self.profile_token)
