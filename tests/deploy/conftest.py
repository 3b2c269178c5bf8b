import compileall
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import boto3
import pytest

from chalicelib import sandbox
from guest import build
from tests.deploy import warm
from tests.kit import site
from web import build as web

ROOT = Path(__file__).parents[2]
PARTS = ("app.py", "chalicelib", "deploy", "guest", "web", ".chalice", "requirements.txt", "requirements-web.txt")
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}


@pytest.fixture(scope="session")
def packaged(tmp_path_factory):
    """A copy of the deployed files. Its folder ``out`` has the zip and the templates, made once for all workers."""
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


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of the project without the app's dependencies: with them, each of six uploads would have 30 MB."""
    folder = tmp_path_factory.mktemp("project")
    copy(ROOT, folder)
    (folder / "requirements.txt").write_text("")
    for machine in ("x86_64", "arm64"):  # and without the engine of payload parsers
        guest = folder / "chalicelib/sandbox" / sandbox.path_of(sandbox.target(machine)).name
        guest.write_bytes(b"")
        build.mark_of(guest).write_text(build.digest())
    shutil.rmtree(folder / "chalicelib/console", ignore_errors=True)  # and with a small console
    site.write(folder / "chalicelib/console")
    (folder / "chalicelib/console/sources").write_text(web.digest())
    compileall.compile_dir(folder, quiet=1)
    return folder


def copy(source, target):
    target.mkdir(parents=True, exist_ok=True)
    for part in (*PARTS, ".chalice/deployments"):
        if (source / part).is_dir():
            unneeded = ["__pycache__", "deployments", "node_modules", ".lock"] if source == ROOT else []
            ignored = shutil.ignore_patterns("deployed", *unneeded)
            shutil.copytree(source / part, target / part, ignore=ignored, dirs_exist_ok=True)
        elif (source / part).exists():
            shutil.copy(source / part, target / part)


class Server:
    """A moto server in a process of its own. It holds one account at a time."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.deploy.moto_server"],
            cwd=ROOT,
            env=os.environ | CREDENTIALS,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()
        self.commands = Commands()

    def empty(self, **account):
        """Replace the account with an empty one."""
        post(f"{self.url}/moto-api/reset", **account)

    def close(self):
        """End the process."""
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.commands.close()


class Commands:
    """Runs the commands of a deployer. See tests.deploy.warm."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp())  # pytest's own folders have longer paths than a socket may have
        self.process = subprocess.Popen(
            [sys.executable, warm.__file__, str(self.folder / "socket")],
            env=os.environ | CREDENTIALS,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"ready\n"

    def run(self, command, folder, environment):
        """Run a command; return what it did."""
        out, err = (Path(tempfile.mkstemp(dir=self.folder)[1]) for _ in range(2))
        files = {"out": str(out), "err": str(err)}
        status = warm.run(str(self.folder / "socket"), command, folder=str(folder), environment=environment, **files)
        return subprocess.CompletedProcess(command, status, out.read_text(), err.read_text())

    def close(self):
        """End the process."""
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.folder)


def post(url, **sent):
    """Send JSON to a stand-in; return what it answers."""
    request = urllib.request.Request(url, json.dumps(sent).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


class Account:
    """An AWS account on a moto server. Commands run on it from a copy of the project."""

    def __init__(self, folder, url, commands):
        self.folder, self.documents_folder, self.commands = folder / "project", folder / "documents", commands
        self.url, self.clients, self.printed = url, {}, ""

    @classmethod
    def empty(cls, project, folder, server, concurrency=1_000, faults=None):
        """Return an empty account."""
        account = cls(folder, server.url, server.commands)
        copy(project, account.folder)
        shutil.copy(Path(__file__).with_name("quick_sleep.py"), account.folder / "sitecustomize.py")
        server.empty(documents=str(account.documents_folder), concurrency=concurrency, faults=faults)
        return account

    @contextlib.contextmanager
    def copied(self, folder):
        """Yield a copy of this account and of its project. It is a process of its own, which ends with the block."""
        for part in ("project", "documents"):
            shutil.copytree(self.folder.parent / part, folder / part)
        made = post(f"{self.url}/moto-api/fork", documents=str(folder / "documents"))
        account = Account(folder, made["url"], self.commands)
        account.printed = self.printed
        try:
            yield account
        finally:
            os.kill(made["process"], signal.SIGKILL)

    def command(self, *arguments):
        return [sys.executable, "-m", "deploy", *arguments]

    def chalice_command(self, *arguments):
        return [str(Path(sys.executable).with_name("chalice")), *arguments]

    @property
    def environment(self):
        return os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": self.url, "PYTHONPATH": str(self.folder)}

    def strict(self, command, **sent):
        """Tell the layer in front of moto something, such as ``sleep``; return what it answers."""
        return post(f"{self.url}/strict/{command}", **sent)

    def attempt(self, *arguments, environment=None):
        """Run a command; return what it did."""
        return self.commands.run(self.command(*arguments), self.folder, environment or self.environment)

    def attempt_chalice(self, *arguments, environment=None):
        """Run ``chalice`` as a deployer does; return what it did."""
        return self.commands.run(self.chalice_command(*arguments), self.folder, environment or self.environment)

    def run(self, *arguments, code=0):
        """Run a command that ends with this status; return what it printed."""
        done = self.attempt(*arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def refusal(self, *arguments):
        """Run a command that fails; return what it says about it."""
        done = self.attempt(*arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    def chalice(self, *arguments):
        """Run ``chalice``; return what it printed."""
        done = self.attempt_chalice(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def client(self, service):
        """Return a cached client of a service: loading the service's description takes a tenth of a second."""
        if service not in self.clients:
            self.clients[service] = boto3.client(service, endpoint_url=self.url, region_name=REGION)
        return self.clients[service]

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


@pytest.fixture(scope="session")
def moto_server():
    """One moto server for all tests, as its first calls take three seconds to load the services."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def open_account(project, tmp_path, moto_server):
    """Return a function that makes the account of a test. What was called in it must be in docs/deploy.md."""
    opened = []

    def open_(**options):
        opened.append(Account.empty(project, tmp_path, moto_server, **options))
        return opened[-1]

    yield open_
    for account in opened:
        check_permissions(account)


@pytest.fixture
def account(open_account):
    """An empty account."""
    return open_account()


@pytest.fixture(scope="session")
def deployed_once(project, moto_server, tmp_path_factory):
    """An account with stage dev, as ``up`` makes it. Each test gets a copy of it."""
    account = Account.empty(project, tmp_path_factory.mktemp("deployed"), moto_server)
    account.printed = account.run("up")
    with account.copied(tmp_path_factory.mktemp("template")) as template:
        yield template


@pytest.fixture
def deployed(deployed_once, tmp_path):
    """An account of its own, to which ``up`` has deployed stage dev. ``printed`` is what ``up`` has said."""
    with deployed_once.copied(tmp_path) as account:
        yield account
        check_permissions(account)


def check_permissions(account):
    """Check that docs/deploy.md lists every permission that the commands needed."""
    called = {tuple(call) for call in account.strict("calls")["calls"]}
    missing = {permission(*call) for call in called} - documented_permissions() - {None}
    assert not missing, f"docs/deploy.md does not list {missing}"


IAM_NAMES = {
    ("lambda", "Invoke"): "lambda:InvokeFunction", ("dynamodb", "TransactWriteItems"): "dynamodb:PutItem",
    ("s3", "HeadBucket"): "s3:ListBucket", ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "DeleteObjects"): "s3:DeleteObject", ("s3", "GetBucketCors"): "s3:GetBucketCORS",
    ("s3", "PutBucketCors"): "s3:PutBucketCORS", ("s3", "GetPublicAccessBlock"): "s3:GetBucketPublicAccessBlock",
    ("s3", "PutPublicAccessBlock"): "s3:PutBucketPublicAccessBlock",
    # Called ...LifecycleConfiguration: the older operations have the same path.
    ("s3", "GetBucketLifecycle"): "s3:GetLifecycleConfiguration",
    ("s3", "PutBucketLifecycle"): "s3:PutLifecycleConfiguration",
}  # fmt: skip
"""The IAM actions that are not called as their operations are."""
IAM_SERVICES = {"monitoring": "cloudwatch"}


def permission(service, operation):
    """Return the IAM action of a call; None for API Gateway, whose actions are HTTP methods."""
    if service == "apigateway":
        return None
    return IAM_NAMES.get((service, operation), f"{IAM_SERVICES.get(service, service)}:{operation}")


def documented_permissions():
    """Return the IAM actions that docs/deploy.md lists for the deployer."""
    section = (ROOT / "docs/deploy.md").read_text().partition("## Permissions that the deployer needs")[2]
    rows = re.findall(r"^\| [^|`]+ \| `([a-z0-9]+):` \| (.+) \|$", section.partition("\n## ")[0], re.MULTILINE)
    return {f"{service}:{action}" for service, text in rows for action in re.findall(r"\b[A-Z]\w+", text)}
