"""Sends mails: through SES on AWS, as ``embedded.mail`` does in the embedded mode."""

from typing import Any, Protocol

from chalicelib import errors, settings
from chalicelib.host import log
from chalicelib.host.slot import Slot


class Mail(Protocol):
    """Sends mails. That a mail could not be sent is in the log: its reader must not learn it."""

    note: str
    """What an answer says about how the mail is sent; empty if there is nothing to say."""

    def check(self) -> None:
        """Raise errors.BadRequest if no mail can be sent, before it is known whether one would be."""

    def send(self, *, to: str, subject: str, text: str) -> None:
        """Send a mail, or begin to."""


class NoMail:
    """What AWS has until a sender is set."""

    note = ""

    def check(self) -> None:
        """See Mail."""
        raise errors.BadRequest("No mail is configured: ask the operator to set DECANT_MAIL_FROM")

    def send(self, *, to: str, subject: str, text: str) -> None:
        """See Mail."""
        self.check()


class Ses:
    """SES. The address of the sender must be verified there.

    Args:
        sender: the address.
    """

    note = ""

    def __init__(self, sender: str) -> None:
        from chalicelib.host import aws

        self._client: Any = aws.client("ses")
        self._failures = aws.FAILURES
        self._sender = sender

    def check(self) -> None:
        """See Mail."""

    def send(self, *, to: str, subject: str, text: str) -> None:
        """See Mail. Cost: one call."""
        message = {"Subject": _utf8(subject), "Body": {"Text": _utf8(text)}}
        try:
            self._client.send_email(Source=self._sender, Destination={"ToAddresses": [to]}, Message=message)
        except self._failures as error:
            log.line("error", mail="not sent", failed=log.cause(error))


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}


def _on_aws() -> Mail:
    sender = settings.current().mail_from
    return Ses(sender) if sender else NoMail()


_slot = Slot(_on_aws)
current, use = _slot.current, _slot.use
