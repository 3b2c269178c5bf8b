"""Reads the query strings of all clients, which spell lists and maps differently, into one shape."""

import re
from collections.abc import Mapping, Sequence

MAX_PARAMETERS = 1_000
MAX_DEPTH = 5
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")

Tree = dict[str, "list[str] | Tree"]
"""Each name with its texts in the order sent, or, for ``name[key]``, with a tree of the keys."""


def parse(parameters: Mapping[str, Sequence[str]]) -> Tree:
    """Read parameters into a tree. All four spellings of a list give the same result.

    The spellings are ``k=a&k=b``, ``k[]=a``, ``k[0]=a``, and the last one escaped. A name with other keys in brackets
    becomes a tree: ``filter[tags][0][key]=x`` is ``{"filter": {"tags": {"0": {"key": ["x"]}}}}``. An empty text counts
    as absent.

    Args:
        parameters: each unescaped name with its texts in the order sent.

    Raises:
        ValueError: more than 1,000 parameters, keys nested more than five deep, or a name that is both value and map.

    Source: what the official Python (requests) and JavaScript (qs) clients send.

    >>> parse({"variables[0]": ["a"], "variables": ["b"], "qty": [""]})
    {'variables': ['a', 'b']}
    """
    if sum(len(texts) for texts in parameters.values()) > MAX_PARAMETERS:
        raise ValueError(f"more than {MAX_PARAMETERS} query parameters")
    tree: Tree = {}
    for name, texts in parameters.items():
        kept = [text for text in texts if text != ""]
        if kept:
            _insert(tree, name, kept)
    return tree


def _insert(tree: Tree, name: str, texts: list[str]) -> None:
    match = _KEY.fullmatch(name)
    if match is None:
        raise ValueError(f"{name[:50]!r} is not a parameter name")
    path = [match[1], *_PART.findall(match[2])]
    if len(path) > MAX_DEPTH:
        raise ValueError(f"{match[1][:50]!r} is nested more than {MAX_DEPTH} deep")
    if len(path) > 1 and (path[-1] == "" or path[-1].isdigit()):
        path.pop()
    for part in path[:-1]:
        branch = tree.setdefault(part, {})
        if not isinstance(branch, dict):
            raise ValueError(f"{match[1][:50]!r} is given both as a value and as a map")
        tree = branch
    leaf = tree.setdefault(path[-1], [])
    if not isinstance(leaf, list):
        raise ValueError(f"{match[1][:50]!r} is given both as a value and as a map")
    leaf.extend(texts)
