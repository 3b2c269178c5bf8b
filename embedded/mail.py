"""Sends mails through an SMTP server, or prints them into the log if there is none."""

import queue
import smtplib
import ssl
import threading
from email.message import EmailMessage

from chalicelib.host import log

TIMEOUT_S = 10.0
MAX_WAITING = 100
"""How many mails wait for the SMTP server. Further ones are not sent, and the log says so."""
_HERE = ("localhost", "127.0.0.1", "::1")


class Printed:
    """What the embedded mode has without an SMTP server: it prints the mail, with its link, into the log."""

    note = ". No mail is configured: the operator finds the link in the log of the server"

    def check(self) -> None:
        """See host.mail.Mail."""

    def send(self, *, to: str, subject: str, text: str) -> None:
        """See host.mail.Mail."""
        log.line("warning", mail="not configured", to=to, subject=subject, text=text)

    def close(self) -> None:
        """Nothing waits."""


class Smtp:
    """An SMTP server, with STARTTLS if the server offers it. A thread of its own sends one mail after the other.

    Args:
        host: its name. A password goes to any host but this machine only over TLS.
        port: its port.
        sender: the address of the sender.
        user: the name to log in with; empty: do not log in.
        password: the password to log in with.
    """

    note = ""

    def __init__(self, *, host: str, port: int, sender: str, user: str = "", password: str = "") -> None:
        self._host, self._port, self._sender, self._user, self._password = host, port, sender, user, password
        self._waiting: queue.Queue[EmailMessage | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """See host.mail.Mail."""

    def send(self, *, to: str, subject: str, text: str) -> None:
        """See host.mail.Mail. It returns at once."""
        try:
            self._waiting.put_nowait(self._message(to, subject, text))
        except ValueError as error:  # an address with a line break
            log.line("error", mail="not sent", failed=log.cause(error))
            return
        except queue.Full:
            log.line("error", mail="not sent", failed="too many mails wait")
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_all, name="mail", daemon=True)
            self._thread.start()

    def _message(self, to: str, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, to, subject
        message.set_content(text)
        return message

    def close(self) -> None:
        """Send what waits, then end the thread. It waits for as long as one mail may take."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(TIMEOUT_S)

    def _send_all(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._send(message)
            except (OSError, smtplib.SMTPException, ValueError) as error:  # ValueError: an address that has no ASCII
                log.line("error", mail="not sent", failed=log.cause(error))

    def _send(self, message: EmailMessage) -> None:
        with smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S) as server:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            elif self._user and self._host not in _HERE:
                raise smtplib.SMTPNotSupportedError("the server has no STARTTLS")
            if self._user:
                server.login(self._user, self._password)
            server.send_message(message)
