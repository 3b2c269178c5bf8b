"""Configuration parameters as clients send them.

Source: TagoIO, "Configuration parameters", and the official clients.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, FailFast, Field, FiniteFloat, StrictBool, StrictInt, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib.schemas.bodies import Body

MAX_PARAMS = 60


class ParamIn(TypedDict, total=False):
    """A configuration parameter. With ``id`` it changes an existing one."""

    id: StrictStr
    key: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    value: StrictStr | StrictInt | FiniteFloat | StrictBool
    sent: StrictBool


Params = Annotated[list[ParamIn], Field(max_length=MAX_PARAMS), FailFast()]


class SentIn(TypedDict, total=False):
    """PUT /device/params/{id}. An empty body, or one without ``sent``, means that the device has read the parameter."""

    sent: StrictBool


def _as_list(sent: object) -> object:
    return [sent] if isinstance(sent, dict) else sent


one_or_more: Body[Sequence[ParamIn]] = Body(
    TypeAdapter(Annotated[Params, BeforeValidator(_as_list, json_schema_input_type=list[ParamIn] | ParamIn)])
)
sent: Body[SentIn] = Body(TypeAdapter(SentIn), empty=SentIn)
