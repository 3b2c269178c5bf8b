"""The errors that reach a client, each with its status.

ApiError                      a failure in the API's envelope
├── BadRequest           400  something sent is wrong; names the field
├── Denied               401  no good token, or one that may not do this: all look alike
├── NotFound             404  no such thing, or not this profile's
├── Conflict             409  lost a race too often
├── TooLarge             413  the body or the answer is over its limit
├── UnsupportedMedia     415  a content type or encoding that is not read
└── Unavailable          503  the store did not answer in time; safe to repeat
"""

from chalice.app import ChaliceUnhandledError


class ApiError(ChaliceUnhandledError):
    """A failure that is answered as ``{"status": false, "message": …}``.

    Args:
        message: what is wrong, for the client's developer.
        field_errors: the field, or the index of the item, to the reasons; sent along when given.
    """

    status = 400

    def __init__(self, message: str, field_errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field_errors = field_errors
        self.headers: dict[str, str] = {}


class BadRequest(ApiError):
    """The request cannot be understood or breaks a rule."""


class Denied(ApiError):
    """Who is asking is unknown, or may not do this. The text is always the same, so that it tells nothing."""

    status = 401

    def __init__(self) -> None:
        super().__init__("Authorization Denied")


class NotFound(ApiError):
    """What the path names does not exist for this profile."""

    status = 404


class Conflict(ApiError):
    """Others changed the same thing at the same time, again and again."""

    status = 409


class TooLarge(ApiError):
    """The body or the answer is over its limit."""

    status = 413


class UnsupportedMedia(ApiError):
    """The body comes in a form that is not read."""

    status = 415


class Unavailable(ApiError):
    """The store did not do its work in time. The request may be repeated: nothing is stored twice.

    Args:
        stored: how many points are known to be stored.
        pending: how many are not.
    """

    status = 503

    def __init__(self, message: str = "The store is not available, try again", *, stored: int = 0, pending: int = 0):
        super().__init__(f"{message} ({stored} stored, {pending} pending)" if pending else message)
        self.headers = {"Retry-After": "1"}
