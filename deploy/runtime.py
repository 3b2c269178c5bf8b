"""Fixes the Python version of the functions and of their packages.

Without this, Chalice takes for both the version that its command line runs on.
"""

from typing import Any

from chalice.config import Config
from chalice.deploy import validate
from chalice.deploy.packager import PipRunner

VERSION = "3.12"
_WHEELS = (
    *("--only-binary=:all:", "--implementation", "cp", "--python-version", VERSION),
    *("--platform", "manylinux2014_x86_64"),
)


def install() -> None:
    """Make Chalice deploy to ``VERSION``, with the wheels whose hashes are in requirements.txt."""
    config: Any = Config
    config.lambda_python_version = property(lambda _: f"python{VERSION}")
    checks: Any = validate
    checks.validate_python_version = lambda *_: None  # it warns about any version but its own
    runner: Any = PipRunner
    if not hasattr(runner, "execute_bare"):
        runner.execute_bare = runner._execute
        runner._execute = _execute


def _execute(runner: Any, command: str, arguments: list[str], **more: Any) -> Any:
    if command == "download" and "-r" in arguments:
        arguments = [*_WHEELS, *arguments]
    return runner.execute_bare(command, arguments, **more)
