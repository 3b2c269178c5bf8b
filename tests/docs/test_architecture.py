"""docs/architecture.md names the folders that exist, and quotes the keys of the code."""

import re
from pathlib import Path

from chalicelib.store import names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
BLOCKS = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)


def test_every_folder_is_in_the_house_and_the_other_way_round():
    folder, listed = "", set()
    for indent, name in re.findall(r"^( *)([a-z_]+(?:/|\.py))(?= )", BLOCKS[0], re.MULTILINE):
        if not indent:
            folder = name if name.endswith("/") else ""
        parent = {0: "", 2: folder, 4: f"{folder}services/"}[len(indent)]
        listed.add(f"{parent}{name}")
    tracked = [path for path in ROOT.rglob("*.py") if not set(path.parts) & {".venv", "build", "node_modules"}]
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in tracked}
    folders = {name for name in folders if name.count("/") == 1 or name.startswith("chalicelib/")}
    assert {name for name in listed if name.endswith("/")} == folders - {"./"}
    assert {"app.py", "chalicelib/settings.py", "chalicelib/services/entities.py"} <= listed


def test_keys_are_those_of_the_code():
    table = re.search(r"^    (owner .*?)\n\n", names.__doc__, re.DOTALL | re.MULTILINE)[1]
    assert BLOCKS[1].strip() == "\n".join(line.removeprefix("    ") for line in table.split("\n"))


def test_keys_are_all_in_the_table():
    made = {
        names.profile("<profile>"), names.device("<device>"), names.ACTIONS + "<action>", names.token("<fingerprint>"),
        names.PARAMS + "<param>", names.client("<client id>"), names.LETTERS + "<milliseconds>-<random>", names.request("<SHA-256 of the key>"), names.counters("<device>"), names.counters(""),
        names.serial("<serial>", "<device>", "<fingerprint>"), names.PROFILES, names.ERASURES, names.RETENTIONS, names.RECOUNTS, names.KEYS, names.DEAD_LETTERS, names.EMBEDDED,
        names.PROFILE, names.DIRECTORY, names.DIRECTORIES + "<number>", names.TOKEN, names.BINDING, names.SEED,
        names.DEPLOYMENT, names.LOCK, names.SEALING, names.SEALED, names.restored("<mark>", "<note>"), names.LIMITS, names.made("<account>", "<fingerprint>"),
        names.analysis("<analysis>"), names.run_user("<user>"), names.ACCOUNTS, names.ACCOUNT,
        names.CONNECTORS + "<connector>", names.network("<network>"), names.account("<account>"),
        names.email("<SHA-256>"), names.member("<account>"), names.POLICIES + "<policy>", names.run_email("<SHA-256>"),
        names.membership("<account>", "<profile>"), names.invitation("<hash>"), names.INVITATION,
        names.attempts("<SHA-256>"), names.ATTEMPTS,
        names.files("<profile>"), names.JOBS, names.USAGE, names.HOURS + "<hour>", names.ALERTS,
        names.email("<SHA-256>"), names.audit("<profile>"), names.member("<account>"),
    }  # fmt: skip
    cells = {cell for line in BLOCKS[1].splitlines() for cell in re.split(r"  +", line)[:2]}
    assert made <= cells and cells - made == {
        "owner",
        "name",
        "<milliseconds>-<random>",
        "<path>",
        "device#<device>#<milliseconds>",
    }
