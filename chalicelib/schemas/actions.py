"""Actions as clients send them, and the parameters of the list of actions.

Source: the official clients name the fields. No source says what a trigger of type mqtt_topic and an action of type
insert_to_device hold; docs/decisions.md decides it.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, FailFast, Field, StrictBool, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.codec import topics
from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Description, Id, Name, Tags
from chalicelib.schemas.lists import ListShape

MAX_TRIGGERS = 50
LIST = ListShape(
    fields=(
        "id", "name", "active", "tags", "description", "type", "trigger", "action", "lock", "profile",
        "last_triggered", "created_at", "updated_at", "trigger_when_unlock",
    ),
    default=("id", "name"),
    sortable=(
        "id", "name", "active", "description", "type", "lock", "profile", "last_triggered", "created_at", "updated_at",
        "trigger_when_unlock",
    ),
    filters={
        "id": "text", "name": "text", "type": "text", "active": "flag", "lock": "flag", "last_triggered": "since",
        "created_at": "since", "updated_at": "since",
    },
    always=("id",),
)  # fmt: skip


def _filter(text: str) -> str:
    if not topics.is_filter(text):
        raise ValueError("topic must be a topic, or a filter with + for a level or # at its end")
    return text


class Trigger(TypedDict, total=False):
    """When an action runs: a message on a topic, from one device or from the devices with a tag."""

    device: Id | None
    tag_key: Annotated[StrictStr, Field(max_length=100)] | None
    tag_value: Annotated[StrictStr, Field(max_length=500)] | None
    topic: Annotated[StrictStr, Field(max_length=256), AfterValidator(_filter)]


class Insert(TypedDict):
    """What an action does: it stores the message as data of the device that sent it."""

    type: Literal["insert_to_device"]


Triggers = Annotated[list[Trigger], Field(min_length=1, max_length=MAX_TRIGGERS), FailFast()]


class ActionEditIn(TypedDict, total=False):
    """PUT /action/{id}; other fields are ignored."""

    name: Name
    active: StrictBool
    tags: Tags
    description: Description
    type: Literal["mqtt_topic"]
    trigger: Triggers
    action: Insert
    lock: StrictBool
    trigger_when_unlock: StrictBool


class ActionIn(ActionEditIn):
    """POST /action; other fields are ignored."""

    # It requires fields that an edit may omit; type checkers forbid a subclass to say so.
    name: Name  # type: ignore[misc]
    type: Literal["mqtt_topic"]  # type: ignore[misc]
    trigger: Triggers  # type: ignore[misc]
    action: Insert  # type: ignore[misc]


def _checked(sent: ActionEditIn) -> ActionEditIn:
    for index, trigger in enumerate(sent.get("trigger", ())):
        if not trigger.get("topic"):
            raise errors.BadRequest.field("trigger", f"trigger {index} must have a topic")
        if not trigger.get("device") and not trigger.get("tag_key"):
            reason = f"trigger {index} must have a device, or tag_key and tag_value"
            raise errors.BadRequest.field("trigger", reason)
    return sent


_RULES = {
    "properties": {
        "trigger": {
            "items": {"required": ["topic"], "anyOf": [{"required": ["device"]}, {"required": ["tag_key"]}]},
        },
    },
}
"""What ``_checked`` demands."""
create: Body[ActionIn] = Body(TypeAdapter(ActionIn), then=_checked, rules=_RULES)  # type: ignore[arg-type]
edit: Body[ActionEditIn] = Body(TypeAdapter(ActionEditIn), then=_checked, rules=_RULES)
