"""Fixes the Python version of the functions and of their packages.

Without this, Chalice takes for both the version that its command line runs on. The processor of the functions is
Chalice's own setting, ``lambda_architecture`` of a stage: x86_64, or arm64.
"""

from typing import Any

from chalice.config import Config
from chalice.deploy import validate
from chalice.deploy.packager import DependencyBuilder, PipRunner

VERSION = "3.12"
_WHEELS = ("--only-binary=:all:", "--implementation", "cp", "--python-version", VERSION, "--platform")


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
    builder: Any = DependencyBuilder
    if not hasattr(builder, "download_bare"):
        builder.download_bare = builder._download_all_dependencies
        builder._download_all_dependencies = _download


def _download(builder: Any, *arguments: Any) -> Any:
    """Tell the builder's pip for which machine the functions are built, x86_64 or aarch64, and download."""
    builder._pip.machine = builder._machine
    return builder.download_bare(*arguments)


def _execute(runner: Any, command: str, arguments: list[str], **more: Any) -> Any:
    if command == "download" and "-r" in arguments:
        platforms = (f"manylinux2014_{runner.machine}", "--platform", f"manylinux_2_28_{runner.machine}")
        arguments = [*_WHEELS, *platforms, *arguments]
    return runner.execute_bare(command, arguments, **more)
