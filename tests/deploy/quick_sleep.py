"""As sitecustomize.py of a command that runs on the stand-in: to sleep moves the stand-in's clock, and takes no time."""

import json
import os
import time
import urllib.request


def _sleep(seconds):
    body = json.dumps({"seconds": seconds}).encode()
    for is_last in (False, False, True):
        try:
            with urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/strict/sleep", body, timeout=30):
                return
        except OSError:  # a busy machine resets a connection now and then; to sleep twice does no harm
            if is_last:
                raise


if __name__ == "sitecustomize":
    time.sleep = _sleep
