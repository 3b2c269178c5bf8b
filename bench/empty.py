"""An empty uvicorn application, to measure the HTTP server alone. It reads a body and answers a constant."""

import os

import uvicorn

ANSWER = b'{"status":true,"result":"1 Data Added"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(scope, receive, send):
    """Answer one request."""
    message = await receive()
    while message.get("more_body"):
        message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["BENCH_PORT"]), http="httptools", loop="uvloop", ws="none", lifespan="off",
        log_level="warning", access_log=False, server_header=False,
    )  # fmt: skip
