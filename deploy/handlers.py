"""Updates the handlers of deployed functions.

Chalice names a function's handler when it creates the function, and never again. Without this, a function whose module
has moved would keep a handler that its new code does not have.
"""

from typing import Any

from chalice.app import Chalice
from chalice.awsclient import TypedAWSClient

from deploy.names import APP


def install(app: Chalice) -> None:
    """Make Chalice set each function's handler right after it has uploaded the function's code."""
    client: Any = TypedAWSClient
    if not hasattr(client, "update_bare_code"):
        client.update_bare_code = client._update_function_code
    handlers = by_name(app)

    def update(self: Any, function_name: str, *arguments: Any, **more: Any) -> Any:
        configuration = client.update_bare_code(self, function_name, *arguments, **more)
        handler = handler_of(function_name, handlers)
        if handler is not None and configuration["Handler"] != handler:
            self._wait_for_function_update(function_name)
            self._client("lambda").update_function_configuration(FunctionName=function_name, Handler=handler)
            self._wait_for_function_update(function_name)
        return configuration

    client._update_function_code = update


def by_name(app: Chalice) -> dict[str, str]:
    """Return the handler of each function beside the HTTP handler, by the function's name in Chalice."""
    functions: list[Any] = [*app.pure_lambda_functions, *app.builtin_auth_handlers, *app.event_sources]
    return {function.name: function.handler_string for function in functions}


def handler_of(function_name: str, handlers: dict[str, str]) -> str | None:
    """Return the handler of a function by its name in AWS, ``decant-<stage>-<name>``; None for the HTTP handler.

    >>> handlers = {"authorizer": "a.b", "iot-authorizer": "c.d"}
    >>> [handler_of(f"decant-dev{name}", handlers) for name in ("", "-authorizer", "-iot-authorizer")]
    [None, 'a.b', 'c.d']
    >>> handler_of("decant-authorizer", handlers), handler_of("decant-iot-authorizer", handlers)
    (None, 'a.b')
    """
    stage_and_name = function_name.removeprefix(f"{APP}-")
    matching = [name for name in handlers if stage_and_name.endswith(f"-{name}")]
    return handlers[max(matching, key=len)] if matching else None
