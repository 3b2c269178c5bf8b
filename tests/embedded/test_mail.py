"""Mails through an SMTP server, and through SES."""

import json
import threading

import boto3
import pytest
from moto import mock_aws

from chalicelib import errors
from chalicelib.host import log, mail
from embedded import mail as embedded_mail
from embedded.mail import Printed, Smtp
from tests.kit.smtp import SmtpServer


@pytest.fixture
def written():
    lines = []
    log.use(lambda text: lines.append(json.loads(text)))
    return lines


@pytest.fixture
def server():
    started = []

    def start(refuse=None):
        started.append(SmtpServer(refuse))
        return started[-1]

    yield start
    for one in started:
        one.close()


def sender(port, **more):
    return Smtp(host="127.0.0.1", port=port, sender="decant@x.org", **more)


def test_smtp_sends_one_mail_after_the_other(server, written):
    smtp = server()
    mails = sender(smtp.port, user="me", password="a secret")
    for name in ("a", "b"):
        mails.send(to=f"{name}@x.org", subject="Grüße", text="follow\nhttps://x.org/page\n")
    mails.close()
    assert len(smtp.mails) == 2 and "To: a@x.org" in smtp.mails[0] and "From: decant@x.org" in smtp.mails[0]
    assert "https://x.org/page" in smtp.mails[1] and any(line.startswith("AUTH PLAIN") for line in smtp.commands)
    assert not written


@pytest.mark.parametrize("word", ["MAIL", "RCPT", "AUTH", "EHLO"])
def test_smtp_that_refuses_is_in_the_log_and_nobody_is_told(server, written, word):
    smtp = server(word)
    mails = sender(smtp.port, user="me", password="a secret")
    mails.send(to="a@x.org", subject="s", text="t")
    mails.close()
    (line,) = written
    assert line["mail"] == "not sent" and "a secret" not in str(line) and "a@x.org" not in str(line)


def test_smtp_that_is_not_there_and_an_address_that_is_none(server, written):
    smtp = server()
    closed = sender(1)
    closed.send(to="a@x.org", subject="s", text="t")
    closed.close()
    mails = sender(smtp.port)
    mails.send(to="ü@x.org", subject="s", text="t")
    mails.send(to="a@x.org", subject="s", text="t")
    mails.close()
    assert [line["mail"] for line in written] == ["not sent", "not sent"] and len(smtp.mails) == 1


def test_password_goes_to_another_machine_only_over_tls(server, written, monkeypatch):
    smtp = server()
    mails = Smtp(host="127.0.0.2", port=smtp.port, sender="decant@x.org", user="me", password="a secret")
    mails._host = "127.0.0.1"
    monkeypatch.setattr(embedded_mail, "_HERE", ())
    mails.send(to="a@x.org", subject="s", text="t")
    mails.close()
    assert [line["failed"] for line in written] == ["SMTPNotSupportedError"] and "AUTH" not in str(smtp.commands)


def test_mails_that_wait_have_a_bound(server, written, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr(Smtp, "_send", lambda self, message: held.wait(20))
    mails = sender(1)
    for _ in range(embedded_mail.MAX_WAITING + 2):
        mails.send(to="a@x.org", subject="s", text="t")
    assert written and all(line["failed"] == "too many mails wait" for line in written)
    held.set()
    mails.close()


def test_a_line_break_cannot_add_a_header(server, written):
    mails = sender(1)
    mails.send(to="a@x.org\nBcc: b@x.org", subject="s", text="t")
    assert [line["mail"] for line in written] == ["not sent"]


def test_ses_sends_from_the_address_of_the_settings(configure, written):
    with mock_aws():
        configure(mail_from="decant@x.org")
        ses = boto3.client("ses")
        ses.verify_email_identity(EmailAddress="decant@x.org")
        before = ses.get_send_quota()["SentLast24Hours"]  # of the other tests on the same stand-in
        mail.use(None)
        mail.current().send(to="a@x.org", subject="Grüße", text="follow")
        assert ses.get_send_quota()["SentLast24Hours"] == before + 1
        configure(mail_from="nobody@x.org")
        mail.use(None)
        mail.current().send(to="a@x.org", subject="s", text="t")
    assert [(line["mail"], line["failed"]) for line in written] == [("not sent", "MessageRejected")]


def test_without_mail_aws_refuses_and_the_embedded_mode_prints(written):
    with pytest.raises(errors.BadRequest, match="DECANT_MAIL_FROM"):
        mail.current().send(to="a@x.org", subject="s", text="t")
    Printed().check()
    Printed().send(to="a@x.org", subject="s", text="https://x.org/page")
    assert written[0]["text"] == "https://x.org/page" and "log" in Printed.note
