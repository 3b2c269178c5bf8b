"""``python tests/deploy/warm.py SOCKET``: runs Python commands in copies of a process that has loaded the libraries.

To load them takes a second of each command, and a deployment is two commands. The project's own modules are not loaded,
so each command takes those of its folder. A command that one of them starts in turn is run here too.
"""

import functools
import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIBRARIES = (
    "chalice.cli.factory", "chalice.deploy.deployer", "chalice.local", "orjson", "pydantic", "pynamodb.models", "typing_extensions",
    "uuid", "sqlite3", "zoneinfo", "ipaddress", "wasmtime",
)  # fmt: skip
SERVICES = ["apigateway", "cloudwatch", "dynamodb", "events", "iam", "iot", "lambda", "logs", "s3", "sqs", "ssm", "sts"]
LOOK_S = 5


def run(path, command, *, folder, environment, out, err):
    """Run a command; return its status.

    Args:
        path: of the server's socket.
        command: the interpreter with ``-m`` or ``-c``, or the path of ``chalice``, and the arguments.
        folder: to run it in.
        environment: its variables.
        out: the path of a file to which it writes.
        err: the same for its errors.
    """
    request = {"command": command, "folder": folder, "environment": environment, "out": out, "err": err}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.sendall(json.dumps(request, default=str).encode() + b"\n")
        answer = connection.makefile("rb").readline()
    return int(answer)


def serve(path):
    """Answer requests until the process is ended, or the one that started it. A process of its own answers each."""
    parent = os.getppid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(LOOK_S)
        print("ready", flush=True)
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if os.getppid() != parent:
                    return
                continue
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = json.loads(connection.makefile("rb").readline())
    command = os.fork()
    if command == 0:
        connection.close()
        become(path, **request)
    _, status = os.waitpid(command, 0)
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become(path, command, folder, environment, out, err):
    """Be the command: does not return."""
    for number, name in ((1, out), (2, err)):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    replaced: Any = subprocess
    replaced.run = functools.partial(_run_here, path, out, err, subprocess.run)
    added = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = [folder, *added, *(part for part in sys.path if part != str(HERE))]
    os._exit(_end(_main, command))


def _main(command):
    if Path(command[0]).name == "chalice":
        from chalice.cli import main

        sys.argv = command
        sys.exit(main())
    kind, what, *arguments = command[1:]
    if kind == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *arguments]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def _end(main, command):
    """Return the status with which the interpreter would end."""
    status = 0
    try:
        main(command)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _run_here(path, out, err, plain, command, **options):
    """Run a command of the deployer here, and any other as a process."""
    is_ours = Path(command[0]).name == "chalice" or [*command[:3]] == [sys.executable, "-m", "deploy"]
    if not is_ours or options.keys() - {"cwd", "env", "check"}:
        return plain(command, **options)
    sys.stdout.flush()
    environment = options.get("env") or dict(os.environ)
    status = run(path, command, folder=str(options["cwd"]), environment=dict(environment), out=out, err=err)
    if options.get("check") and status != 0:
        raise subprocess.CalledProcessError(status, command)
    return subprocess.CompletedProcess(command, status)


def load():
    """Load the libraries, and the descriptions of the services that the deployer calls."""
    runpy.run_path(str(HERE / "quick_sleep.py"), run_name="sitecustomize")  # before a library keeps `time.sleep`
    for name in LIBRARIES:
        importlib.import_module(name)
    from botocore.loaders import JSONFileLoader
    from botocore.session import get_session

    read: Any = functools.cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: read(path)
    for service in SERVICES:
        get_session().create_client(service, region_name="eu-central-1")
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    load()
    serve(sys.argv[1])
