import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("app.py", "chalicelib", "deploy", ".chalice", "requirements.txt")
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}


@pytest.fixture(scope="session")
def packaged(tmp_path_factory):
    """A copy of what is deployed, with the Lambda's zip and the templates made once for all workers, in ``out``."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "packaged"
    with (shared / "packaged.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "out").exists():
            copy(ROOT, folder)
            command = [sys.executable, "-m", "deploy.package", "out"]
            subprocess.run(command, cwd=folder, env=os.environ | CREDENTIALS, check=True, capture_output=True)
    return folder


def copy(source, target):
    target.mkdir(parents=True, exist_ok=True)
    for part in (*PARTS, ".chalice/deployments"):
        if (source / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "deployed", *(["deployments"] if source == ROOT else []))
            shutil.copytree(source / part, target / part, ignore=ignored, dirs_exist_ok=True)
        elif (source / part).exists():
            shutil.copy(source / part, target / part)


class Account:
    """An AWS account of moto's, and the command lines that work on it from a copy of the project."""

    def __init__(self, packaged, folder, **environment):
        self.folder, self.documents_folder = folder / "project", folder / "documents"
        copy(packaged, self.folder)
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.deploy.moto_server", str(self.documents_folder)],
            cwd=ROOT,
            env=os.environ | CREDENTIALS | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = self.server.stdout.readline().strip()

    def command(self, *arguments):
        return [sys.executable, "-m", "deploy", *arguments]

    @property
    def environment(self):
        return os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": self.url}

    def run(self, *arguments, code=0):
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def chalice(self, *arguments):
        command = [str(Path(sys.executable).with_name("chalice")), *arguments]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, capture_output=True)

    def client(self, service):
        return boto3.client(service, endpoint_url=self.url, region_name=REGION)

    @property
    def documents(self):
        """The API documents that were sent, in order."""
        return [json.loads(path.read_text()) for path in sorted(self.documents_folder.iterdir())]

    def edit(self, path, *changes):
        """Replace texts in a file of the project's copy."""
        file = self.folder / path
        text = file.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        file.write_text(text)

    def close(self):
        self.server.terminate()
        self.server.wait()
        self.server.stdout.close()


@pytest.fixture
def open_account(packaged, tmp_path):
    opened = []

    def do(**environment):
        opened.append(Account(packaged, tmp_path / str(len(opened)), **environment))
        return opened[-1]

    yield do
    for account in opened:
        account.close()
