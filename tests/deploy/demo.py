"""``make deploy-demo``: runs the deployer's commands on a stand-in for AWS, and shows what a deployer would see."""

import datetime
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.deploy.conftest import ROOT, Account, Server, copy
from tests.deploy.test_restore import AFTER, BEFORE, LOOK, run

WEEK_S = 7 * 86_400


def story(account):
    """Yield what is shown: a title, and a command line. Between two commands, time may pass on the stand-in."""
    yield "See what would be made", ["diff"]
    yield "Deploy", ["up"]
    yield "Look it over", ["check"]
    yield "Deploy again: the result is the same", ["up"]
    yield "Deploy a second stage: MQTT belongs to the first", ["up", "--stage", "prod"]
    yield "Look over the second", ["check", "--stage", "prod"]
    yield "See what points cost", ["cost", "--points", "1e6", "--batch", "100"]
    (token,) = re.findall(r"p-[0-9a-f-]{36}", account.run("token"))
    made = run(account, BEFORE, token)
    at = datetime.datetime.fromtimestamp(account.strict("snapshot")["taken_s"], datetime.UTC)
    made |= run(account, AFTER, token, json.dumps(made))
    print(f"(Two devices were made before {at:%H:%M:%S}. Since then one was deleted, and a third was made.)\n")
    yield "Bring the first stage back to that second", ["restore", "--to", f"{at:%Y-%m-%dT%H:%M:%SZ}", "--keep-deleted"]
    texts = {name: made[name]["token"] for name in ("kept", "deleted", "later")}
    print(f"(The devices now: {', '.join(run(account, LOOK, token, json.dumps(texts))['names'])}.)\n")
    yield "Return to the tables from before", ["restore", "--back"]
    yield "Remove the restored tables", ["restore", "--drop-old"]
    yield "Remove the first stage and keep its data: the MQTT endpoint must rest for a week", ["down"]
    account.strict("sleep", seconds=WEEK_S)
    yield "A week later: remove the rest, and the data too", ["down", "--data"]
    yield "Remove the second stage with Chalice's own command", ["chalice", "delete", "--stage", "prod"]
    yield "Deploy it again with Chalice's own command: now it has MQTT", ["chalice", "deploy", "--stage", "prod"]
    yield "Remove it", ["down", "--stage", "prod", "--data"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        copy(ROOT, source)
        server = Server()
        try:
            account = Account.empty(source, Path(folder), server)
            print(f"A stand-in replaces AWS: {account.url}. Its clock moves when a command waits.\n")
            for title, arguments in story(account):
                is_chalice = arguments[0] == "chalice"
                print(f"# {title}\n$ {'' if is_chalice else 'python -m deploy '}{' '.join(arguments)}", flush=True)
                command = account.chalice_command(*arguments[1:]) if is_chalice else account.command(*arguments)
                done = subprocess.run(command, cwd=account.folder, env=account.environment, check=False)
                print(flush=True)
                if done.returncode:
                    return done.returncode
        finally:
            server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
