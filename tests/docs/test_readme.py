"""The commands of README.md and docs/mqtt.md print what the pages say, and the figures and links are right."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import fresh_environment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = README + (ROOT / "docs/mqtt.md").read_text()
FIGURES = (ROOT / "docs/figures.md").read_text()
CONSOLE = "".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL))
STEPS = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", CONSOLE, re.MULTILINE)


def plain(text, url="http://127.0.0.1:8000", mqtt_port=1883):
    """Replace the parts that differ from run to run."""
    text = text.replace(url, "URL")
    text = re.sub(rf"(127\.0\.0\.1(?: -p |:)){mqtt_port}\b", r"\1MQTT", text)
    text = re.sub(r'"time":"20[^"]+"', '"time":"TIME"', text) if "mqtt_topic" in text else text
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "TOKEN", text)
    text = re.sub(r"(Password +)\S+", r"\1PASSWORD", text)
    return re.sub(r"\b[0-9a-f]{24}\b", "ID", text).strip()


@pytest.fixture
def run(start):
    program = start()
    environment = fresh_environment() | {
        "DEVICE_TOKEN": program.device_token,
        "PROFILE_TOKEN": program.profile_token,
        "TAGOIO_API": program.url,
        "MQTT_PORT": str(program.mqtt_port),
    }

    def do(command):
        command = [part.replace("http://127.0.0.1:8000", program.url) for part in command]
        command = [part.replace("-p 1883", f"-p {program.mqtt_port}") for part in command]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
        return plain(done.stdout, program.url)

    do.program = program
    return do


def test_commands_print_what_the_readme_says(run):
    curls = [(command, output) for command, output in STEPS if command.startswith("curl")]
    assert len(curls) == 6
    for command, output in curls:
        assert run(["bash", "-c", command]) == plain(output), command


def test_start_prints_what_the_readme_says(start):
    (output,) = [output for command, output in STEPS if command == "make run"]
    program = start()
    assert plain(program.welcome, program.url, program.mqtt_port) == plain(output)


def test_python_examples_print_what_the_page_says_after_all_steps_before_them(run):
    for command in [command for command, _ in STEPS if command.startswith("curl")]:
        run(["bash", "-c", command])
    examples = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", EXAMPLES, re.DOTALL)
    assert len(examples) == 2
    for code, output in examples:
        assert run([sys.executable, "-c", code]) == output.strip()


def test_mqtt_commands_print_what_the_page_says(run):
    examples = re.findall(r"```shell\n(.*?)```\n\n```json\n(.*?)```", EXAMPLES, re.DOTALL)
    assert len(examples) == 2
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto_pub is not installed")
    for commands, output in examples:
        assert run(["bash", "-c", commands]) == plain(output)


def test_test_command_is_what_ci_runs():
    assert "make test" in [command for command, _ in STEPS]
    script = (ROOT / ".ci/run").read_text()
    assert script.splitlines()[-1] == "make test" and os.access(ROOT / ".ci/run", os.X_OK)


def test_bench_tables_are_whole():
    rows = re.findall(r"^\| (POST|GET|MQTT) [^|]+\|(?:[^|]+\|){4} [\d.]+ × \|$", FIGURES, re.MULTILINE)
    assert [rows.count(kind) for kind in ("POST", "GET", "MQTT")] == [4, 46, 10]


def test_the_three_numbers_of_the_readme_are_measured_ones():
    (section,) = re.findall(r"^## Figures\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    measured = {row: figure for row, figure in re.findall(r"^\| ([^|]+) \| (\d+,\d{3}) \|", FIGURES, re.MULTILINE)}
    named = ("POST 1, 16 connections", "GET last 15, 1,000 stored", "MQTT QoS 1, 200 connections")
    assert re.findall(r"\d,\d{3}", section) == [measured[row] for row in named]


def anchors(path):
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        assert target.startswith("https://") or page.exists(), target
        assert not anchor or anchor in anchors(page), target
