"""API Gateway in front of the app, over HTTPS: authorizer, API keys, usage plans and its own answers.

It is as strict as API Gateway's documentation: a route is found before a caller, a key must be in a usage plan of the
stage, a new key is unknown at first, and usage plans throttle by token buckets.
"""

import gzip
import http.server
import threading
from typing import Any

from chalicelib import routes
from chalicelib.http.answers import COMPRESSED_FROM_BYTES, PREFLIGHT
from tests.kit.api import PROTECTED, ROUTER, Api, answer_of_the_gateway, ask_authorizer

STAGE = "api"
API_ID = "abc123"
MAX_BODY_BYTES = 10 * 1024 * 1024
_METHODS = {(row.path, row.method) for row in routes.ALL}


class Bucket:
    """A token bucket. It refills by a clock that the test moves."""

    def __init__(self, limits, now_s):
        self.size, self.rate = limits["burstLimit"], limits["rateLimit"]
        self.tokens, self.now_s = float(self.size), now_s
        self.at_s = now_s()

    def take(self):
        """Take a token; return whether there was one."""
        now_s = self.now_s()
        self.tokens = min(self.size, self.tokens + (now_s - self.at_s) * self.rate)
        self.at_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class ApiGateway:
    """Serves the app on a port of this machine until ``close``.

    Args:
        client: an apigateway client, for keys and usage plans.
        now_s: a clock in seconds.
        context: the TLS context.
    """

    def __init__(self, client, now_s, context):
        self.client, self.now_s = client, now_s
        self.lock = threading.Lock()
        self.unknown_for = 2
        """How many requests with a new key are refused, as API Gateway does not know it yet."""
        self.seen: dict[str, int] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        """The usage plan of each key that is known."""
        self.buckets: dict[tuple[str, str], Bucket] = {}
        self.change = lambda _method, _path, answer: answer
        """A fault to inject: gets method, path and answer, and returns the answer to send."""
        self.asked: list[tuple[str, str]] = []

        class Handler(_Handler):
            gateway = self

        self.server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        self.server.daemon_threads = False  # so that close waits for them
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self):
        """The base URL."""
        return f"https://localhost:{self.server.server_address[1]}/{STAGE}"

    def close(self):
        """Stop, and wait for every connection to end."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, method, path, headers, body):
        """Return the answer to a request: status, headers and text. One request at a time, as in a Lambda."""
        with self.lock:
            self.asked.append((method, path))
            raw = self.change(method, path, self._answer(method, path, headers, body))
            return raw["statusCode"], raw["headers"], raw["body"]

    def _answer(self, method, path, headers, body):
        place = ROUTER.find(path.partition("?")[0])
        if place is None or (method != "OPTIONS" and (place[0], method) not in _METHODS):
            return answer_of_the_gateway("MISSING_AUTHENTICATION_TOKEN")
        if method == "OPTIONS":
            preflight = {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*", **PREFLIGHT}
            return {"statusCode": 200, "headers": preflight, "body": '{"status":true,"result":null}'}
        if len(body) > MAX_BODY_BYTES:
            return answer_of_the_gateway("REQUEST_TOO_LARGE")
        context = None
        if (place[0], method) in PROTECTED:
            answer = ask_authorizer(headers, method, path.partition("?")[0])
            refusal = (
                answer if isinstance(answer, str) else self._limited(answer["usageIdentifierKey"], method, place[0])
            )
            if refusal is not None:
                return answer_of_the_gateway(refusal)
            context = answer["context"]
        sent = {name.lower(): value for name, value in headers.items()}
        if "gzip" in sent.get("content-encoding", ""):  # it inflates the body and leaves the header
            body = gzip.decompress(body)
        answer = Api(context=context)(method, path, raw=body.decode(), headers=headers)
        return {"statusCode": answer.status, "headers": answer.headers, "body": answer.text}

    def _limited(self, value, method, resource):
        """Return the name of the gateway response if the key is unknown or its bucket is empty."""
        self.seen[value] = self.seen.get(value, 0) + 1
        if self.seen[value] <= self.unknown_for:
            return "INVALID_API_KEY"
        plan = self.plans.get(value) or self._plan_of(value)
        if plan is None:
            return "INVALID_API_KEY"
        self.plans[value] = plan
        (stage,) = [stage for stage in plan["apiStages"] if (stage["apiId"], stage["stage"]) == (API_ID, STAGE)]
        limits = stage.get("throttle", {}).get(f"{resource}/{method}")
        if limits is None:
            return None
        bucket = self.buckets.setdefault((value, f"{resource}/{method}"), Bucket(limits, self.now_s))
        return None if bucket.take() else "THROTTLED"

    def _plan_of(self, value):
        keys = [key for key in self.client.get_api_keys(includeValues=True)["items"] if key["value"] == value]
        for plan in self.client.get_usage_plans()["items"]:
            members = {key["id"] for key in self.client.get_usage_plan_keys(usagePlanId=plan["id"])["items"]}
            if keys and keys[0]["enabled"] and keys[0]["id"] in members:
                return plan
        return None


class _Handler(http.server.BaseHTTPRequestHandler):
    gateway: ApiGateway
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    timeout = 20

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.removeprefix(f"/{STAGE}")
        status, headers, text = self.gateway.answer(self.command, path, dict(self.headers.items()), body)
        content = text.encode()
        if len(content) >= COMPRESSED_FROM_BYTES and "gzip" in self.headers.get("Accept-Encoding", ""):
            content, headers = gzip.compress(content), {**headers, "Content-Encoding": "gzip"}
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_any

    def log_message(self, *_):
        """Log nothing."""
