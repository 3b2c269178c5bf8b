"""The options ``--url`` and ``--token`` of the commands that call an API, on this machine or elsewhere.

The address has the variable that TagoIO's clients read too, and not ``DECANT_URL``, which is the public address that a
server shows: a shell that sets it would change the server that it starts.
"""

import argparse
import os

URL = "http://127.0.0.1:8000"


def add_to(parser: argparse.ArgumentParser, whose: str) -> None:
    """Add the options.

    Args:
        parser: of the command.
        whose: what the token must be of, for the help.
    """
    url = os.environ.get("TAGOIO_API") or URL
    parser.add_argument("--url", default=url, help=f"the address of the API; by default TAGOIO_API, else {URL}")
    token = os.environ.get("DECANT_TOKEN", "")
    parser.add_argument("--token", default=token, help=f"a token of {whose}; by default DECANT_TOKEN")
