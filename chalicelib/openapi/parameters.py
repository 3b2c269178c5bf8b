"""The parameters of paths and query strings as rows of data. Each names what ``schemas`` reads.

Lists have further spellings, such as ``variables[]`` and ``variables[0]``; the document shows the plain one.
"""

from typing import Any, NamedTuple

from chalicelib.codec import times
from chalicelib.codec.periods import INTERVALS
from chalicelib.schemas import audit, lists, queries
from chalicelib.schemas.lists import ListShape
from chalicelib.services.accounts import tags

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_ZONE = "An IANA name of a time zone, such as Europe/Berlin. UTC if absent"


class Parameter(NamedTuple):
    """A parameter of a query string."""

    name: str
    schema: Schema
    description: str = ""
    is_required: bool = False

    def shown(self, place: str = "query") -> Schema:
        """Return the parameter as OpenAPI describes it."""
        described = {"description": self.description} if self.description else {}
        is_required = {"required": True} if self.is_required or place == "path" else {}
        return {"name": self.name, "in": place, **described, **is_required, "schema": self.schema}


def _whole(low: int, high: int, default: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


def _one_of(texts: tuple[str, ...], **more: Any) -> Schema:
    return {"type": "string", "enum": [*texts], **more}


START = Parameter("start_date", _TEXT, f"The first moment: {times.BOUND_FORMS}")
END = Parameter("end_date", _TEXT, f"The last moment: {times.BOUND_FORMS}")

POINTS = (
    Parameter("query", _one_of(queries.KINDS, default="default"), "What to do with the points that match"),
    Parameter("variables", _TEXTS, "Only these variables. Also `variable`"),
    Parameter("groups", _TEXTS, "Only these groups. Also `group`, `series` and `serie`"),
    Parameter("ids", _TEXTS, "Only the points with these ids. Also `id`"),
    Parameter("values", _TEXTS, "Only these values"),
    Parameter("value", _TEXT, "One value; with `conditional` the number to compare with"),
    Parameter(
        "qty", _whole(1, queries.MAX_QTY, queries.DEFAULT_QTY),
        "How many points of each variable; in all, if none is named",
    ),
    Parameter("skip", _whole(0, queries.MAX_SKIP, 0), "How many points to leave out first"),
    Parameter("ordination", _one_of(("descending", "ascending", "desc", "asc"), default="descending"), "Order by time"),
    START,
    END,
    Parameter("timezone", _TEXT, _ZONE),
    Parameter("interval", _one_of(tuple(INTERVALS)), "The length of the buckets of `aggregate`"),
    Parameter(
        "function", _one_of((*queries.AGGREGATES, *queries.COMPARISONS)),
        f"Of `aggregate`: {', '.join(queries.AGGREGATES)}; of `conditional`: {', '.join(queries.COMPARISONS)}",
    ),
    Parameter("details", _FLAG, "Whether points show when they arrived. Also `detail`"),
)  # fmt: skip
"""GET and DELETE /data."""

STATISTICS = (
    Parameter("periodicity", _one_of(("hour", "day", "month"), default="hour"), "The length of the parts"),
    START,
    END,
    Parameter("timezone", _TEXT, _ZONE),
    Parameter("date", _TEXT, "One day, such as 2026-01-31, in hours; instead of the other parameters"),
)

AUDIT = (
    START,
    END,
    Parameter("resourceName", _one_of(audit.RESOURCES), "Only changes of this kind of object"),
    Parameter("resourceID", _TEXT, "Only changes of the object with this id"),
    Parameter("find", _TEXT, "Text to find in the message, in who made the change, in the id or in the address"),
    Parameter("limit", _whole(1, audit.MAX_LIMIT, 100), "How many events"),
)

FORMAT = Parameter("format", _one_of(queries.FORMATS, default="json"), "Also by the header Accept")
FILE_PATH = Parameter("path", _TEXT, "The path of the file", is_required=True)
RESOLVE = tuple(
    Parameter(f"resolve{name}Name", _FLAG, f"Whether rows have `{name.lower()}_name`")
    for name in ("Bucket", "Connector", "Network")
)
SERIAL = Parameter("serial", _TEXT, "Only devices with this serial number")
SENT_STATUS = Parameter("sent_status", _FLAG, "Only parameters that the device has read, or has not")
DETAILS = Parameter("details", _FLAG, "Whether a network shows all its fields")
ONLY_AMOUNT = Parameter("onlyAmount", _FLAG, "Whether the answer holds only `amount`")
EXPIRE_TIME = Parameter("expire_time", _TEXT, "A span such as `8 hours`, or a date; at most 3 months")
AUTHORIZATION = Parameter("authorization_token", _TEXT, "A service authorization, whose profile has the device")

_PATHS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter("tagged", _one_of(tuple(tags.TYPES)), "The kind of object"),
        Parameter("type", _TEXT, "The kind of one-time pin or of service, such as `authenticator`"),
        Parameter("token", _TEXT, "The text of a token"),
        Parameter("serial", _TEXT, "A serial number"),
        Parameter("email", _TEXT, "An e-mail address"),
        Parameter("authorization", _TEXT, "The text of a service authorization"),
    )
}


def of_path(name: str) -> Parameter:
    """Return a parameter of a path. One without a row is an id."""
    return _PATHS.get(name) or Parameter(name, _TEXT, f"The {name.replace('_id', ' id').replace('_', ' ')}")


def of_fields(shape: ListShape) -> tuple[Parameter, ...]:
    """Return the parameter that chooses fields; see ``lists.read_fields``."""
    chosen: Schema = {"type": "array", "items": _one_of(shape.fields)}
    return (Parameter("fields", chosen, f"The fields to show. By default: {', '.join(shape.default)}"),)


def of_list(shape: ListShape) -> tuple[Parameter, ...]:
    """Return the parameters of a list; see ``lists.read_list``."""
    orders = tuple(f"{name},{direction}" for name in sorted(shape.sortable) for direction in ("asc", "desc"))
    by_tags = [Parameter(f"filter[tags][0][{part}]", _TEXT, "Only objects with this tag") for part in ("key", "value")]
    return (
        Parameter("page", {"type": "integer", "minimum": 1, "maximum": lists.MAX_PAGE, "default": 1}, "Which page"),
        Parameter("amount", _whole(1, lists.MAX_AMOUNT, 20), "How many rows a page has"),
        *of_fields(shape),
        Parameter("orderBy", _one_of(orders, default=shape.order), "Field and direction"),
        *(_filter(name, kind) for name, kind in shape.filters.items()),
        *(by_tags if shape.has_tags else ()),
    )


def _filter(name: str, kind: lists.FilterKind) -> Parameter:
    schema, description = {
        "text": (_TEXT, "Equal to this; `*` stands for any text"),
        "flag": (_FLAG, "Equal to this"),
        "since": (_TEXT, "At or after this date, or a span back from now such as `1 day`"),
    }[kind]
    return Parameter(f"filter[{name}]", schema, description)
