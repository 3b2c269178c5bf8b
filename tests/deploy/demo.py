"""``make deploy-demo``: runs the deployer's commands on a moto server, and shows what a deployer would see."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.deploy.conftest import ROOT, Account, Server, copy

STORY = (
    ("See what would be made", "diff"),
    ("Deploy", "up"),
    ("Look it over", "check"),
    ("Deploy again: nothing changes", "up"),
    ("See what points cost", "cost", "--points", "1e6", "--batch", "100"),
    ("Remove it and keep the data", "down"),
    ("Remove the data too", "down", "--data"),
)


def main():
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        copy(ROOT, source)
        server = Server()
        try:
            account = Account(source, Path(folder), server)
            print(f"A moto server replaces AWS: {account.url}\n")
            for title, *arguments in STORY:
                print(f"# {title}\n$ python -m deploy {' '.join(arguments)}", flush=True)
                done = subprocess.run(
                    account.command(*arguments), cwd=account.folder, env=account.environment, check=False
                )
                print(flush=True)
                if done.returncode:
                    return done.returncode
        finally:
            server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
