"""The errors that reach a client. Services raise them, and ``http.route`` turns them into answers.

ApiError                      a failure that the API reports
├── BadRequest           400  the request breaks a rule; names the field
├── Denied               401  no valid token, or one without the permission; the answers look alike
│   └── NeedsPin         401  the password is right, but the account wants a pin too
├── PaymentRequired      402  the plan allows no more of something
├── NotFound             404  no such thing, or another profile's
├── Conflict             409  others changed the same thing, again and again
├── TooLarge             413  the body or the answer is over its limit
├── UnsupportedMedia     415  a content type or encoding that is not supported
├── TooManyRequests      429  the limit of a minute is used up
└── Unavailable          503  the store did not answer in time; a retry is safe
"""


class ApiError(Exception):
    """A failure that the API reports to the client.

    Args:
        message: what is wrong, for the client's developer.
        field_errors: the reasons by field name or by the item's index. Part of the answer if given.
    """

    status = 400
    retry_after_s: int | None = None
    """After how many seconds the client may try again; None if that does not help."""
    reason: str | None = None
    """What the log says instead of the message: nothing that a client sent. None: the log finds it out."""

    def __init__(self, message: str, field_errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field_errors = field_errors


class BadRequest(ApiError):
    """The request cannot be read, or breaks a rule."""

    @classmethod
    def field(cls, name: str, reason: str) -> "BadRequest":
        """Return the error of one field or parameter. ``reason`` is a complete sentence that names the field."""
        return cls(reason, {name: [reason]})

    @classmethod
    def item(cls, index: int, reason: str) -> "BadRequest":
        """Return the error of one item of a list: the message and ``field_errors`` name its index."""
        return cls(f"Item {index}: {reason}", {str(index): [reason]})


class Denied(ApiError):
    """The caller is unknown or may not do this. The text is always the same, so that it reveals nothing."""

    status = 401
    reason = "no valid token, or one without the permission"

    def __init__(self) -> None:
        super().__init__("Authorization Denied")


class NeedsPin(Denied):
    """The password is right, but the account wants a pin too. The message is a JSON text that TagoIO's tools read."""

    reason = "a pin is needed"

    def __init__(self) -> None:
        ApiError.__init__(self, '{"otp_enabled":["authenticator"],"otp_autosend":"authenticator"}')


class PaymentRequired(ApiError):
    """The profile's plan allows no more of something: of a resource, or of a service's quota."""

    status = 402


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
    """The body has a content type or encoding that is not supported."""

    status = 415


class TooManyRequests(ApiError):
    """A limit is used up.

    Args:
        retry_after_s: after how many seconds the client may try again.
    """

    status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Too many requests (Retry-After: {retry_after_s})")
        self.retry_after_s = retry_after_s


class Unavailable(ApiError):
    """The store failed, or did not finish in time. The client may retry: nothing is stored twice.

    Args:
        message: what failed.
        stored: how many points are known to be stored.
        pending: how many points are not known to be stored.
    """

    status = 503
    retry_after_s = 1

    def __init__(self, message: str = "The store is not available, try again", *, stored: int = 0, pending: int = 0):
        super().__init__(f"{message} ({stored} stored, {pending} pending)" if pending else message)
