"""Fields that several schemas share, as pydantic types."""

import base64
import binascii
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, FailFast, Field, StrictStr
from typing_extensions import TypedDict

from chalicelib.sandbox import MAX_SOURCE_BYTES

MAX_TAGS = 30
MAX_SERIAL_CHARS = 100

Id = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{24}$")]
Name = Annotated[StrictStr, Field(min_length=3, max_length=100)]
Label = Annotated[StrictStr, Field(min_length=1, max_length=100)]
"""A name for which no source states a shortest length."""
Description = Annotated[StrictStr, Field(max_length=1_000)] | None
Serial = Annotated[StrictStr, Field(max_length=MAX_SERIAL_CHARS, pattern=r"^[^#\x00-\x1f]*$")]
"""A serial number. It must not hold ``#``, which separates the parts of the store's keys."""


Url = Annotated[StrictStr, Field(max_length=2_000)]


def _decoder(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
    if size > MAX_SOURCE_BYTES:
        raise ValueError("Not permitted to use function parse with more than 64kb")
    return text


Decoder = Annotated[StrictStr | None, AfterValidator(_decoder)]
"""The source of a payload parser, in base64."""


def _storable(value: Any) -> Any:
    try:
        orjson.dumps(value)
    except TypeError:
        raise ValueError("must hold no whole number over 64 bits") from None
    return value


Anything = Annotated[Any, AfterValidator(_storable)]
"""Any JSON, stored as sent."""


class Tag(TypedDict):
    """A label."""

    key: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    value: Annotated[StrictStr, Field(max_length=500)]


Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS), FailFast()]
