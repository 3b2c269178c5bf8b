"""Analyses as clients send them, and the parameters of their list.

Source: the official clients. Decant runs no code, so it stores what describes an analysis and uses only ``active`` and
``tags``.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, FailFast, Field, StrictBool, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Anything, Description, Label, Tags
from chalicelib.schemas.lists import ListShape

MAX_VARIABLES = 200
LIST = ListShape(
    fields=(
        "id", "name", "description", "active", "run_on", "runtime", "interval", "file_name", "tags", "profile",
        "last_run", "locked_at", "created_at", "updated_at",
    ),
    default=("id", "name"),
    sortable=("id", "name", "active", "run_on", "runtime", "profile", "last_run", "created_at", "updated_at"),
    filters={
        "id": "text", "name": "text", "active": "flag", "run_on": "text", "runtime": "text", "created_at": "since",
        "updated_at": "since",
    },
    always=("id",),
)  # fmt: skip


class Variable(TypedDict):
    """A variable of an analysis's environment."""

    key: Label
    value: Anything


def _as_list(sent: object) -> object:
    return [sent] if isinstance(sent, dict) else sent


Variables = Annotated[
    list[Variable],
    Field(max_length=MAX_VARIABLES),
    FailFast(),
    BeforeValidator(_as_list, json_schema_input_type=list[Variable] | Variable),
]


class AnalysisEditIn(TypedDict, total=False):
    """PUT /analysis/{id}; other fields are ignored."""

    name: Label
    description: Description
    interval: Annotated[StrictStr, Field(max_length=100)] | None
    run_on: Literal["tago", "external"]
    runtime: Label | None
    file_name: Annotated[StrictStr, Field(max_length=500)] | None
    active: StrictBool
    variables: Variables
    tags: Tags


class AnalysisIn(AnalysisEditIn):
    """POST /analysis; other fields are ignored."""

    # It requires the name, which an edit may omit; type checkers forbid a subclass to say so.
    name: Label  # type: ignore[misc]


create: Body[AnalysisIn] = Body(TypeAdapter(AnalysisIn))
edit: Body[AnalysisEditIn] = Body(TypeAdapter(AnalysisEditIn))
