"""``python -m embedded parser`` and its examples in docs/parsers.md."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.program import ROOT, fresh_environment

PAGE = (ROOT / "docs/parsers.md").read_text()


def run(*arguments, stdin=""):
    return subprocess.run(
        [sys.executable, "-m", "embedded", "parser", *map(str, arguments)], cwd=ROOT, input=stdin, capture_output=True,
        text=True, check=False, env=fresh_environment(), timeout=60,
    )  # fmt: skip


@pytest.fixture
def script(tmp_path):
    """Return a function that writes a parser into a file."""

    def write(source):
        file = tmp_path / "decoder.js"
        file.write_text(source)
        return file

    return write


def points(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_example_prints_what_the_page_says():
    ((command, output),) = re.findall(r"```console\n\$ ([^\n]+)\n(.*?)```", PAGE, re.DOTALL)
    words = shlex.split(command)
    assert words[:4] == [".venv/bin/python", "-m", "embedded", "parser"]
    done = run(*words[4:])
    assert done.returncode == 0, done.stderr
    times = r"[\d.]+ ms"
    assert re.sub(times, "N ms", done.stdout + done.stderr) == re.sub(times, "N ms", output)


def test_code_of_the_page_runs_in_any_folder(script, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (source,) = re.findall(r"```javascript\n(.*?)```", PAGE, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert '"/opt/decant"' in code and 'os.path.join(DECANT, ".venv/bin/python")' in code
    code = code.replace('"/opt/decant"', repr(str(ROOT)))
    scope = {}
    exec(code.replace('os.path.join(DECANT, ".venv/bin/python")', repr(sys.executable)), scope)
    script(source)
    scope["test_temperature"]()
    script("payload = [{ variable: 'a', value: 1 }]")
    with pytest.raises(AssertionError):
        scope["test_temperature"]()


def test_points_are_those_that_would_be_stored_and_the_log_says_what_was_mended(script):
    file = script(
        "console.log('seen', payload.length); payload = [{ variable: 'A b', value: 1, group: 7 }, { value: 1 }]"
    )
    done = run(file, "--payload", '{"a": 1}')
    assert done.returncode == 0 and points(done) == [{"variable": "a_b", "value": 1, "group": "7"}]
    *notes, last = done.stderr.splitlines()
    assert "seen 1" in notes[0] and any("variable is required" in note for note in notes)
    assert re.fullmatch(r"1 point in [\d.]+ ms; the engine was loaded in \d+ ms", last)


def test_body_comes_from_a_file_or_the_input_and_may_be_text(script, tmp_path):
    file = script("payload = [{ variable: typeof payload, value: JSON.stringify(payload) }]")
    (tmp_path / "body.json").write_text('[{"variable": "x"}]')
    (body,) = points(run(file, "--payload", f"@{tmp_path / 'body.json'}"))
    assert body == {"variable": "object", "value": '[{"variable":"x"}]'}
    assert points(run(file, "--payload", "-", stdin="a,b"))[0] == {"variable": "string", "value": '"a,b"'}
    assert points(run(file, "--payload", '{"a": 1}', "--text"))[0]["variable"] == "string"


def test_device_and_network(script):
    file = script("payload = [{ variable: 'x', value: device.params[0].value + device.tags[0].key }]")
    done = run(file, "--payload", "{}", "--param", "mode=a=b", "--tag", "site=roof")
    assert points(done) == [{"variable": "x", "value": "a=bsite"}]
    done = run(script("serial = 'AB12'; payload = { variable: 'x', value: 1 }"), "--payload", "{}", "--network")
    assert points(done) == [{"variable": "x", "value": 1}] and "serial: AB12\n" in done.stderr


@pytest.mark.parametrize(
    ("source", "arguments", "reason"),
    [
        ("\nnull.x", ("--payload", "{}"), "(device parser, line 2)"),
        ("for (;;);", ("--payload", "{}"), "1 s of processor time"),
        ("console.log('before'); throw 'x'", ("--payload", "{}"), "before"),
        ("payload = [];", ("--payload", "{}", "--network"), "serial"),
        ("", ("--payload", ""), "body is empty"),
        ("", ("--payload", "@no-such-file"), "Cannot run the parser: no-such-file: No such file"),
        ("//" + "x" * 70_000, ("--payload", "{}"), "bytes. A parser may have"),
    ],
)
def test_failure_ends_with_status_1(script, source, arguments, reason):
    for _ in range(10):
        done = run(script(source), *arguments)
        if "did not get its turn" not in done.stderr:  # it says so, too, if the machine is busy
            break
    assert done.returncode == 1 and done.stdout == "" and reason in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_options_are_refused(script):
    for arguments in ((), ("--payload", "{}", "--param", "x"), ("--payload", "{}", "--tag", "=x")):
        done = run(script(""), *arguments)
        assert done.returncode == 2 and "usage" in done.stderr


def test_a_missing_engine_is_one_line(script, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "from chalicelib import sandbox\nsandbox.path_of = lambda _: __import__('pathlib').Path('/none')\n"
    )
    command = [sys.executable, "-m", "embedded", "parser", str(script("")), "--payload", "{}"]
    environment = fresh_environment() | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode != 0 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("Cannot run the parser: The engine of payload parsers is missing")
    assert "Traceback" not in done.stderr
