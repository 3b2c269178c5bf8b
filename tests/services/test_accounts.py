"""Accounts and their passwords, over both stores."""

import time

import pytest

from chalicelib import errors
from chalicelib.services.access import callers, passwords
from chalicelib.services.accounts import accounts, profiles


def made(email="a@x.org", **more):
    return accounts.create(name="A", email=email, password_hash=passwords.hashed("secret"), **more)


def test_an_account_is_found_by_each_spelling_of_its_address(each_store):
    account = made(" A@x.org ")
    for spelling in ("a@x.org", "A@X.ORG", "ａ@x.org", "a@x.org "):
        assert accounts.find(spelling)["id"] == account
    assert accounts.get_or_raise(account)["email"] == "A@x.org"
    assert accounts.find("b@x.org") is None


def test_an_address_belongs_to_one_account(each_store):
    account = made()
    assert made("A@X.org") is None
    assert [doc["id"] for doc in accounts.list_all()] == [account]


def test_changes_keep_the_rest(each_store):
    account = made(company="C")
    assert accounts.change(account, name="B")["company"] == "C"
    assert accounts.get_or_raise(account)["name"] == "B"
    for unknown in ("0" * 24, "x"):
        with pytest.raises(errors.NotFound):
            accounts.get_or_raise(unknown)
    with pytest.raises(errors.NotFound):
        accounts.change("0" * 24, name="B")


def test_a_token_acts_for_the_account_that_made_it_else_for_the_owner(each_store):
    owner, member = made(), made("m@x.org")
    profile, token = profiles.create(name="a", account=owner)
    caller = callers.resolve(text=token)
    assert accounts.acting_for(caller) == owner
    assert accounts.acting_for(caller._replace(account=member)) == member
    assert profiles.of_account(owner) == {profile: "owner"}
    _, token = profiles.create(name="b")
    assert accounts.acting_for(callers.resolve(text=token)) == ""


def test_only_the_right_password_matches():
    stored = passwords.hashed("secret")
    assert stored.startswith("$argon2id$") and stored != passwords.hashed("secret")
    assert passwords.matches("secret", stored)
    assert not passwords.matches("Secret", stored)
    assert not passwords.matches("", None)
    assert not passwords.matches("secret", None)
    assert not passwords.matches("secret", "broken")


def test_no_account_takes_as_long_as_a_wrong_password(configure):
    configure(password_memory_kib=4096, password_passes=2)
    stored = passwords.hashed("secret")
    passwords._nobody.cache_clear()
    passwords.matches("wrong", None)

    def median_s(known):
        samples = []
        for _ in range(9):
            started = time.process_time()
            passwords.matches("wrong", known)
            samples.append(time.process_time() - started)
        return sorted(samples)[4]

    try:
        assert 0.7 < median_s(stored) / median_s(None) < 1.4
    finally:
        passwords._nobody.cache_clear()
