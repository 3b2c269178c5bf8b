"""The MQTT broker to compare with: amqtt. It acknowledges at once and stores nothing."""

import asyncio
import logging
import sys

from amqtt.broker import Broker


async def serve(port: int, websocket_port: int) -> None:
    config = {
        "listeners": {
            "default": {"type": "tcp", "bind": f"127.0.0.1:{port}"},
            "browsers": {"type": "ws", "bind": f"127.0.0.1:{websocket_port}"},
        },
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(config)
    await broker.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
