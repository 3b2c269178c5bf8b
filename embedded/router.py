"""Finds the resource that a path belongs to, as API Gateway does."""

from collections.abc import Iterable
from typing import Any


class Router:
    """Finds resources. A fixed part of a path wins over a placeholder.

    Args:
        resources: such as ``/device/{device_id}``.
    """

    def __init__(self, resources: Iterable[str]) -> None:
        self._root: dict[str, Any] = {}
        self._fixed: set[str] = set()
        """The resources without placeholders."""
        for resource in resources:
            node = self._root
            if "{" not in resource:
                self._fixed.add(resource)
            for part in resource.strip("/").split("/"):
                is_placeholder = part.startswith("{")
                node = node.setdefault("{}" if is_placeholder else part, {})
                if is_placeholder:
                    node["name"] = part[1:-1]
            node["resource"] = resource

    def find(self, path: str) -> tuple[str, dict[str, str]] | None:
        """Return the resource and its path parameters as the client sent them, or None."""
        if path in self._fixed:
            return path, {}
        node, parameters = self._root, {}
        for part in path.strip("/").split("/"):
            below = node.get(part) if part not in ("{}", "name", "resource") else None
            if below is None:
                below = node.get("{}")
                if below is None or not part:
                    return None
                parameters[below["name"]] = part
            node = below
        return (node["resource"], parameters) if "resource" in node else None
