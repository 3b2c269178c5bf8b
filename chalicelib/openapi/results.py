"""The shapes of ``result``, for readers of the document and for the tests, which check every answer against them.

A list shows the fields that a client asks for, so the fields of its rows are optional. One
that is always None exists only because clients expect it.
"""

from typing import Annotated

from pydantic import Field

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""ISO 8601 in UTC."""
Count = Annotated[int, Field(ge=0)]
Number = int | float
