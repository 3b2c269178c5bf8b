"""The errors that reach a client. Services raise them; ``http.route`` turns them into answers.

ApiError                      a failure that the API reports
├── BadRequest           400  something sent is wrong; names the field
├── Denied               401  no valid token, or one without the permission: all look alike
├── NotFound             404  no such thing, or another profile's
├── Conflict             409  others changed the same thing, again and again
├── TooLarge             413  the body or the answer is over its limit
├── UnsupportedMedia     415  a content type or encoding that is not read
└── Unavailable          503  the store did not answer in time; safe to repeat
"""


class ApiError(Exception):
    """A failure that the API reports to the client.

    Args:
        message: what is wrong, for the client's developer.
        field_errors: field name, or index of the item, to the reasons. Part of the answer if given.
    """

    status = 400
    retry_after_s: int | None = None
    """When the client may try again, if that helps."""

    def __init__(self, message: str, field_errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field_errors = field_errors


class BadRequest(ApiError):
    """The request is not understood or breaks a rule."""

    @classmethod
    def field(cls, name: str, reason: str) -> "BadRequest":
        """Return the error of one field or parameter. ``reason`` is a whole sentence that names the field."""
        return cls(reason, {name: [reason]})

    @classmethod
    def item(cls, index: int, reason: str) -> "BadRequest":
        """Return the error of one item of a list: the message and ``field_errors`` name its index."""
        return cls(f"Item {index}: {reason}", {str(index): [reason]})


class Denied(ApiError):
    """The caller is unknown or may not do this. The text is always the same, so that it gives nothing away."""

    status = 401

    def __init__(self) -> None:
        super().__init__("Authorization Denied")


class NotFound(ApiError):
    """The path names something that this profile does not have."""

    status = 404


class Conflict(ApiError):
    """Others changed the same thing at the same time, again and again."""

    status = 409


class TooLarge(ApiError):
    """The body or the answer is over its limit."""

    status = 413


class UnsupportedMedia(ApiError):
    """The body has a content type or encoding that is not read."""

    status = 415


class Unavailable(ApiError):
    """The store did not do its work in time. The client may repeat the request: nothing is stored twice.

    Args:
        message: what failed.
        stored: how many points are known to be stored.
        pending: how many are not.
    """

    status = 503
    retry_after_s = 1

    def __init__(self, message: str = "The store is not available, try again", *, stored: int = 0, pending: int = 0):
        super().__init__(f"{message} ({stored} stored, {pending} pending)" if pending else message)
