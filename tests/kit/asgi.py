"""Calls an ASGI application with one request."""

import asyncio

from tests.kit import openapi
from tests.kit.api import ROUTER, Answer


async def exchange(gateway, method, path, headers=None, body=b"", state="open", query=b"", client=None):
    """Call an ASGI application with one request; return status, headers and body of the answer.

    In the state ``closed``, the client disconnects before the answer.
    """
    sent = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return messages.pop(0) if messages else await asyncio.get_running_loop().create_future()

    async def send(message):
        if state == "closed":
            raise ConnectionError
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "client": client,
        "headers": [(name.lower().encode(), text.encode("latin-1")) for name, text in (headers or {}).items()],
    }
    await gateway(scope, receive, send)
    start, *rest = sent
    answered = {name.decode(): text.decode() for name, text in start["headers"]}
    return start["status"], answered, b"".join(message["body"] for message in rest)


async def asgi(gateway, method, path, *args, **kwargs):
    """Return the answer to a request, as ``exchange`` sends it, with its envelope checked."""
    status, answered, content = await exchange(gateway, method, path, *args, **kwargs)
    if method == "HEAD":
        assert content == b"" and int(answered["content-length"]) > 0
        content = b'{"status":true,"result":null}'
    found = ROUTER.find(path)
    if found is not None:
        openapi.check_answer(method, found[0], status, answered["content-type"], content.decode())
    return Answer({"statusCode": status, "headers": answered, "body": content.decode()})
