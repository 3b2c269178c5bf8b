"""Makes accounts that can log in, and remembers the mails that were sent."""

import re

from chalicelib.host import mail
from chalicelib.services.access import passwords
from chalicelib.services.accounts import accounts, profiles
from tests.kit.api import Api

PASSWORD = "right-password"


class Mails:
    """Remembers mails instead of sending them."""

    note = ""

    def __init__(self):
        self.sent: list[dict[str, str]] = []
        mail.use(self)

    def check(self):
        """Mails can be sent."""

    def send(self, **message):
        """Remember a mail."""
        self.sent.append(message)

    def link(self):
        """Return the path in the newest mail."""
        (path,) = re.findall(r"https?://[^/\s]+(?:/api)?(/\S+)", self.sent[-1]["text"])
        return path

    def token(self):
        """Return the token in the newest mail."""
        return self.link().rpartition("/")[2]


class Person:
    """An account with a profile and a token that it made by e-mail and password."""

    def __init__(self, email="a@x.org", is_active=True):
        self.email = email
        made = accounts.create(
            name="A", email=email, password_hash=passwords.hashed(PASSWORD), is_active=is_active, company="C"
        )
        assert made is not None
        self.id = made
        self.profile, self.owner_token = profiles.create(name="Home", account=made)
        self.anonymous = Api()

    @property
    def doc(self):
        """The account's document, as stored."""
        return accounts.get_or_raise(self.id)

    def login(self, password=PASSWORD, api=None, **more):
        """Log in; return the answer."""
        return (api or self.anonymous).post("/account/login", {"email": self.email, "password": password, **more})

    def new_token(self, password=PASSWORD, name="T", **more):
        """Ask for a token by e-mail and password; return the answer."""
        sent = {"email": self.email, "password": password, "profile_id": self.profile, "name": name, **more}
        return self.anonymous.post("/account/profile/token", sent)

    def api(self):
        """Return a caller with a fresh token of its own."""
        return Api(self.new_token().result["token"])
