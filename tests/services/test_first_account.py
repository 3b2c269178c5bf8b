"""The first account of a deployment, and what an operator may do to an account, over both stores."""

import pytest

from chalicelib import errors, store
from chalicelib.services.access import passwords
from chalicelib.services.accounts import accounts, first, profiles
from chalicelib.store import Entity, names
from tests.kit.accounts import PASSWORD, Person
from tests.kit.api import Api


def test_first_account_gets_the_profiles_of_earlier_versions(each_store):
    profile, token = profiles.create(name="Old")
    owner = names.profile(profile)
    doc = {name: value for name, value in store.current().get(owner, names.PROFILE).doc.items() if name != "account"}
    store.current().put(Entity(owner, names.PROFILE, doc))  # earlier versions wrote no account
    taken, _ = profiles.create(name="Another's", account="0" * 24)
    made = first.ensure()
    assert made.email == "admin@localhost" and profiles.of_account(made.id) == {profile: profiles.OWNER}
    assert profiles.owner_of(profile) == made.id and profiles.owner_of(taken) == "0" * 24
    assert Api(token).get("/account").result["email"] == "admin@localhost"
    login = {"email": "ADMIN@localhost", "password": made.password}
    assert [one["id"] for one in Api().post("/account/login", login).result["profiles"]] == [profile]


def test_a_second_run_changes_nothing(each_store):
    made = first.ensure(email="a@x.org", password=PASSWORD)
    assert made.password == "", "who chose it needs not see it"
    assert first.ensure(email="b@x.org", password="another") == made._replace(is_new=False)
    assert [doc["email"] for doc in accounts.list_all()] == ["a@x.org"]
    assert passwords.matches(PASSWORD, accounts.find("a@x.org")["password"])


def test_an_operator_sets_a_password(each_store, clock):
    person = Person()
    api = person.api()
    accounts.change(person.id, otp={"id": "0", "is_on": True, "last_step": 0}, active=False)
    first.set_password(email="A@X.org", password="another-password")
    assert person.login("another-password").status == 200 and person.login().status == 401
    assert api.get("/device").status == 401
    with pytest.raises(errors.NotFound, match=r"there are: a@x\.org"):
        first.set_password(email="b@x.org", password="another-password")
