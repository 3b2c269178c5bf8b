"""Policies of access management as clients send them, and the parameters of their list.

Source: TagoIO, "Access Management", and the official clients. As TagoIO does, only the names in a policy are checked. A
tuple of a wrong form is stored and matches nothing.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, FailFast, Field, StrictBool, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Anything, Label, Tags
from chalicelib.schemas.lists import ListShape

MAX_RULES = 100
"""How many permissions, and how many targets, a policy may have."""
_PARTS = 5
"""How many parts of a tuple are stored. The longest form has as many."""
LIST = ListShape(
    fields=("id", "name", "active", "tags", "profile", "created_at", "updated_at"),
    default=("name",),
    sortable=("id", "name", "active", "profile", "created_at", "updated_at"),
    filters={"id": "text", "name": "text", "active": "flag", "created_at": "since", "updated_at": "since"},
    always=("id", "tags", "profile"),
)


def _cut(parts: Any) -> Any:
    return parts[:_PARTS] if isinstance(parts, list) else parts


_Tuple = Annotated[list[Anything], Field(min_length=1), BeforeValidator(_cut, json_schema_input_type=list[Any])]


def _effect(text: Any) -> Any:
    return "deny" if text == "denied" else text


class Permission(TypedDict):
    """What a policy allows or denies. ``resource`` is a tuple that names objects."""

    effect: Annotated[
        Literal["allow", "deny"], BeforeValidator(_effect, json_schema_input_type=Literal["allow", "deny", "denied"])
    ]
    action: Annotated[list[StrictStr], FailFast()]
    resource: _Tuple


def _allow_first(permissions: list[Permission]) -> list[Permission]:
    return sorted(permissions, key=lambda permission: permission["effect"])


Permissions = Annotated[list[Permission], Field(max_length=MAX_RULES), FailFast(), AfterValidator(_allow_first)]
Targets = Annotated[list[_Tuple], Field(max_length=MAX_RULES), FailFast()]


class PolicyEditIn(TypedDict, total=False):
    """PUT /am/{id}; other fields are ignored. Lists replace the stored ones."""

    name: Label
    active: StrictBool
    tags: Tags
    permissions: Permissions
    targets: Targets


class PolicyIn(PolicyEditIn):
    """POST /am; other fields are ignored."""

    # It requires fields that an edit may omit; type checkers forbid a subclass to say so.
    name: Label  # type: ignore[misc]
    permissions: Permissions  # type: ignore[misc]
    targets: Targets  # type: ignore[misc]


create: Body[PolicyIn] = Body(TypeAdapter(PolicyIn))
edit: Body[PolicyEditIn] = Body(TypeAdapter(PolicyEditIn))
