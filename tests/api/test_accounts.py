"""/account over both stores: logins, tokens, one-time pins, mails, and how nothing tells who has an account."""

import re
import statistics
import time

import pyotp
import pytest

from chalicelib import store
from chalicelib.services.access import passwords, tokens
from chalicelib.services.accounts import accounts, attempts, profile_erasures, profiles
from chalicelib.services.devices import devices, erasures
from chalicelib.store import Entity, names
from tests.kit.accounts import PASSWORD, Mails, Person
from tests.kit.api import ROUTER, Api

NEW = "another-password"
SENT = {"name": "B", "email": "B@x.org", "password": PASSWORD, "cpassword": PASSWORD, "timezone": "Europe/Berlin"}


@pytest.fixture
def person(each_store, clock):
    return Person()


@pytest.fixture
def mails():
    return Mails()


@pytest.fixture
def sign_up(configure):
    configure(sign_up="open")


def all_entities():
    """Return the text of everything that is stored."""
    stored = store.current()
    if stored.kind == "sqlite":
        return str(stored._db.execute("SELECT owner, name, doc FROM entities").fetchall())
    from chalicelib.store.models import EntityModel

    return str([item.attribute_values for item in EntityModel.scan()])


def test_a_login_lists_the_profiles_and_makes_no_token(person, clock):
    other = Person("o@x.org")
    clock.advance(1)
    second, _ = profiles.create(name="Second", account=person.id)
    member = Entity(names.account(person.id), names.profile(other.profile), {"role": "member"})
    store.current().put(member)
    result = person.login().result
    assert [profile["id"] for profile in result["profiles"]] == [person.profile, second, other.profile]
    assert result["profiles"][0] == {"id": person.profile, "name": "Home", "logo_url": None, "account": person.id}
    del result["profiles"]
    assert result == {"type": "user", "id": person.id, "email": "a@x.org", "company": "C", "name": "A", "phone": None}


@pytest.mark.parametrize("email", ["A@x.org ", "a@X.org", "ａ@x.org"])
def test_every_spelling_of_an_address_logs_in(person, email):
    assert person.anonymous.post("/account/login", {"email": email, "password": PASSWORD}).result["id"] == person.id


def test_a_token_by_password_is_full_and_lasts_three_months(person, clock):
    result = person.new_token(name="My token").result
    assert (result["name"], result["permission"], result["profile"]) == ("My token", "full", person.profile)
    assert result["created_by"] == person.id and result["expire_time"] == "2026-12-21T14:13:20.000Z"
    api = Api(result["token"])
    assert api.get("/device").result == [] and api.get("/account").result["id"] == person.id
    assert accounts.get_or_raise(person.id)["last_login_ms"] == clock.now_ms
    clock.advance(92 * 86_400)
    assert api.get("/device").status == 401


def test_a_token_by_password_is_only_for_ones_own_profiles(person):
    other = Person("o@x.org")
    for profile in (other.profile, "0" * 24, "x"):
        assert person.new_token(profile_id=profile).status == 404
    member = Entity(names.account(person.id), names.profile(other.profile), {"role": "member"})
    store.current().put(member)
    token = person.new_token(profile_id=other.profile).result["token"]
    assert Api(token).get("/account").result["id"] == person.id, "it acts for the member"
    assert Api(other.owner_token).get("/account").result["id"] == other.id


def test_account_is_shown_and_changed(person):
    api = person.api()
    shown = api.get("/account").result
    assert {name: shown[name] for name in ("email", "active", "blocked", "type", "plan", "otp", "timezone")} == {
        "email": "a@x.org", "active": True, "blocked": False, "type": "user", "plan": "unlimited",
        "otp": {"authenticator": False, "sms": False, "email": False}, "timezone": "UTC",
    }  # fmt: skip
    assert "password" not in shown and "links" not in shown and shown["last_login"] == shown["created_at"]
    sent = shown | {"name": "Anna", "timezone": "Europe/Berlin", "options": {"decimal_separator": ","}, "id": "x"}
    assert api.put("/account", sent).result == "Account Successfully Updated"
    assert api.put("/account", {"options": {"thousand_separator": "."}}).result
    changed = api.get("/account").result
    assert (changed["id"], changed["name"], changed["timezone"]) == (person.id, "Anna", "Europe/Berlin")
    assert changed["options"] == {"decimal_separator": ",", "thousand_separator": "."}


@pytest.mark.parametrize(
    ("sent", "field"),
    [({"email": "b@x.org"}, "email"), ({"password": NEW}, "password"), ({"timezone": "Mars"}, "timezone"),
     ({"timezone": "../x"}, "timezone"), ({"name": ""}, "name")],
)  # fmt: skip
def test_a_change_that_breaks_a_rule_names_the_field(person, sent, field):
    answer = Api(person.owner_token).put("/account", sent)
    assert answer.status == 400 and field in answer.body["field_errors"]


def test_plan_is_never_null(person, clock):
    unlimited = 9_007_199_254_740_991
    assert Api(person.owner_token).get("/account/plan").result == {
        "plan": "unlimited", "requests_per_minute": unlimited, "requests_per_month": unlimited,
    }  # fmt: skip
    clock.advance(1)
    profiles.create(name="second", account=person.id, plan="free")
    assert Api(person.owner_token).get("/account/plan").result["plan"] == "unlimited"


def login_routes(person):
    return [
        lambda email, password: person.anonymous.post("/account/login", {"email": email, "password": password}),
        lambda email, password: person.anonymous.post(
            "/account/profile/token",
            {"email": email, "password": password, "profile_id": person.profile, "name": "n"},
        ),
        lambda email, password: person.anonymous.post(
            "/account/login/otp", {"email": email, "password": password, "otp_type": "authenticator"}
        ),
    ]


def test_unknown_wrong_and_unconfirmed_are_answered_alike(person):
    Person("waiting@x.org", is_active=False)
    cases = [("nobody@x.org", PASSWORD), (person.email, "wrong"), ("waiting@x.org", PASSWORD), ("not an address", "x")]
    for route in login_routes(person):
        attempts.use(None)
        found = {(answer.status, answer.text) for answer in (route(*case) for case in cases)}
        assert found == {(401, '{"status":false,"message":"Authorization Denied"}')}


def test_unknown_wrong_and_unconfirmed_take_the_same_time(sqlite, configure):
    configure(password_memory_kib=4_096, password_passes=2)
    passwords._nobody.cache_clear()
    person = Person()
    Person("waiting@x.org", is_active=False)
    cases = [("nobody@x.org", PASSWORD), (person.email, "wrong"), ("waiting@x.org", PASSWORD)]
    try:
        for route in login_routes(person):
            route(*cases[0])
            spent = {case: [] for case in cases}
            for _ in range(11):
                for case in cases:
                    attempts.use(None)
                    started = time.process_time()
                    route(*case)
                    spent[case].append(time.process_time() - started)
            medians = [statistics.median(samples) for samples in spent.values()]
            assert max(medians) < 1.2 * min(medians), medians
    finally:
        passwords._nobody.cache_clear()


def test_five_failures_are_free_then_each_one_costs_a_longer_wait(person, clock):
    for _ in range(5):
        assert person.login("wrong").status == 401
    for wait_s in (1, 2, 4, 8, 16, 32, 60, 60):
        assert person.login("wrong").status == 401
        refused = person.login()
        assert refused.status == 429 and refused.message == f"Too many requests (Retry-After: {wait_s})"
        assert refused.headers["retry-after"] == str(wait_s)
        assert person.login(api=Api(address="198.51.100.7")).status == 200, "nobody is locked out by others"
        clock.advance(wait_s)
    assert person.login().status == 200
    for _ in range(5):
        assert person.login("wrong").status == 401
    assert person.login().status == 200, "a success resets"


def test_an_address_has_twenty_failures_a_minute_for_all_accounts(person, clock):
    for number in range(20):
        api = Api(address=f"2001:db8::{number:x}")
        assert api.post("/account/login", {"email": f"{number}@x.org", "password": "x"}).status == 401
    refused = person.login(api=Api(address="2001:db8::ffff"))
    assert refused.status == 429 and refused.headers["retry-after"] == "60"
    assert person.login(api=Api(address="2001:db8:0:1::1")).status == 200
    clock.advance(60)
    assert person.login(api=Api(address="2001:db8::1")).status == 200


def test_right_passwords_write_nothing(person, monkeypatch):
    written = []
    for name in ("put", "put_if", "write_all", "delete"):
        monkeypatch.setattr(store.current(), name, lambda *args, name=name, **kwargs: written.append(name))
    assert person.login().status == 200 and not written


def test_failures_of_many_addresses_stay_within_bounds(sqlite, clock, monkeypatch):
    monkeypatch.setattr(attempts, "MAX_KEPT", 100)
    for number in range(300):
        login = attempts.begin(email_key=f"{number}@x.org", address=f"192.0.2.{number % 200}")
        attempts.fail(login)
    assert len(attempts._slot.current()) == 100


def test_failures_expire_in_the_table(dynamo, clock):
    attempts.fail(attempts.begin(email_key="a@x.org", address="192.0.2.1"))
    from chalicelib.store.models import EntityModel

    kept = [item for item in EntityModel.scan() if item.name == names.ATTEMPTS]
    assert sorted(item.expires_at - clock.now_ms // 1000 for item in kept) == [60, 3_600]
    assert "a@x.org" not in str([item.attribute_values for item in kept])


def enabled(person):
    """Turn the authenticator on; return the app."""
    api = Api(person.owner_token)
    uri = api.post("/account/otp/authenticator/enable", {"email": person.email, "password": PASSWORD}).result
    app = pyotp.parse_uri(uri)
    return app, api


def pin(app, clock, steps=0):
    return app.at(clock.now_ms // 1000 + 30 * steps)


@pytest.fixture
def app(person, clock):
    app, api = enabled(person)
    confirmed = api.post("/account/otp/authenticator/confirm", {"pin_code": pin(app, clock)})
    assert confirmed.result == "OTP Successfully Enabled"
    clock.advance(30)
    return app


def test_a_pin_is_ignored_without_authenticator(person):
    assert person.login(pin_code="000000", otp_type="authenticator").status == 200
    assert person.login(pin_code=None).status == 200


def test_authenticator_counts_only_after_a_right_pin(person, clock):
    app, api = enabled(person)
    assert person.login().status == 200
    again, _ = enabled(person)
    assert again.secret != app.secret
    assert api.post("/account/otp/authenticator/confirm", {"pin_code": pin(app, clock)}).status == 400
    assert api.post("/account/otp/authenticator/confirm", {"pin_code": pin(again, clock)}).status == 200
    assert api.post("/account/otp/authenticator/confirm", {"pin_code": pin(again, clock, 1)}).status == 400
    assert api.get("/account").result["otp"]["authenticator"] is True
    assert person.login(pin_code=pin(again, clock)).status == 401, "the pin that confirmed is used"


def test_a_right_password_without_pin_gets_the_text_that_clients_read(person, app):
    for pins in ({}, {"pin_code": ""}, {"pin_code": None, "otp_type": "authenticator"}):
        refused = person.login(**pins)
        assert refused.status == 401
        assert refused.message == '{"otp_enabled":["authenticator"],"otp_autosend":"authenticator"}'
    assert person.login("wrong").message == "Authorization Denied"
    asked = {"email": person.email, "password": PASSWORD, "otp_type": "authenticator"}
    assert "app" in person.anonymous.post("/account/login/otp", asked).result
    for kind in ("sms", "email", "x"):
        assert person.anonymous.post("/account/login/otp", asked | {"otp_type": kind}).status == 400


def test_a_pin_that_passed_a_login_makes_one_token_within_five_minutes(person, app, clock):
    used = pin(app, clock)
    assert person.login(pin_code=used).status == 200
    assert person.login(pin_code=used).status == 401
    clock.advance(299)
    assert person.new_token(pin_code=used).status == 200
    assert person.new_token(pin_code=used).status == 401, "a third use"
    clock.advance(30)
    used = pin(app, clock)
    assert person.login(pin_code=used).status == 200
    clock.advance(301)
    assert person.new_token(pin_code=used).status == 401
    assert person.new_token(pin_code=pin(app, clock)).status == 200


def test_a_pin_of_another_step_is_refused(person, app, clock):
    clock.advance(600)
    assert person.login(pin_code=pin(app, clock, -2)).status == 401
    assert person.login(pin_code=pin(app, clock, 2)).status == 401
    assert person.login(pin_code=pin(app, clock, 1)).status == 200
    for steps in (-1, 0, 1):
        assert person.login(pin_code=pin(app, clock, steps)).status == 401, "not later than the last one"


def test_five_wrong_pins_end_that_login_from_every_address(person, app, clock):
    for number in range(5):
        assert person.login(pin_code="x" * 6, api=Api(address=f"192.0.2.{number}")).status == 401
    refused = person.login(pin_code=pin(app, clock), api=Api(address="198.51.100.1"))
    assert refused.status == 429 and refused.headers["retry-after"] == "60"
    clock.advance(60)
    assert person.login(pin_code=pin(app, clock)).status == 200


def test_the_secret_of_an_authenticator_is_neither_stored_nor_shown_again(person, app, clock):
    assert app.secret not in all_entities()
    api = Api(person.owner_token)
    again = api.post("/account/otp/authenticator/enable", {"email": person.email, "password": PASSWORD})
    assert again.status == 400 and app.secret not in again.text
    assert app.secret not in api.get("/account").text + person.login(pin_code=pin(app, clock)).text


def test_disabling_needs_the_password_of_the_same_account_and_a_token_made_with_a_pin(person, app, clock):
    api, other = Api(person.new_token(pin_code=pin(app, clock)).result["token"]), Person("o@x.org")
    sent = {"email": person.email, "password": PASSWORD}
    assert api.post("/account/otp/authenticator/disable", sent | {"password": "wrong"}).status == 401
    assert Api(other.owner_token).post("/account/otp/authenticator/disable", sent).status == 400
    assert api.post("/account/otp/sms/disable", sent).status == 400
    assert person.login().status == 401
    old = Api(person.owner_token).post("/account/otp/authenticator/disable", sent)
    assert old.status == 400 and "Log in again" in old.message, "a stolen token and password do not suffice"
    assert api.post("/account/otp/authenticator/disable", sent).result == "OTP Successfully Disabled"
    assert person.login().status == 200


def test_sign_up_is_closed_unless_it_is_opened(each_store, mails, configure):
    answer = Api().post("/account", SENT)
    assert answer.status == 400 and "DECANT_SIGN_UP" in answer.message and not accounts.list_all()
    configure(sign_up="open")
    assert Api().post("/account", SENT).status == 200


def test_a_new_account_confirms_its_address_and_gets_a_profile(each_store, clock, mails, sign_up):
    assert "confirm" in Api().post("/account", SENT).result
    (sent,) = mails.sent
    assert sent["to"] == "B@x.org" and "https://api.example.org/api/page/confirm/" in sent["text"]
    assert Api().post("/account/login", SENT).status == 401
    assert Api().get(f"/account/confirm/{mails.token()}").result == "Account Successfully Confirmed"
    (profile,) = Api().post("/account/login", SENT).result["profiles"]
    assert profile["name"] == "Default"
    assert Api().get(f"/account/confirm/{mails.token()}").status == 400, "it works once"
    made = accounts.find("b@x.org")
    assert made["timezone"] == "Europe/Berlin" and mails.token() not in all_entities() and PASSWORD not in str(made)


def test_creating_the_second_account_of_an_address_tells_nobody(each_store, clock, mails, sign_up):
    first = Api().post("/account", SENT)
    Api().get(f"/account/confirm/{mails.token()}")
    clock.advance(3_600)
    again = Api().post("/account", SENT | {"email": "b@X.org", "password": NEW, "cpassword": NEW})
    assert (again.status, again.text) == (first.status, first.text)
    assert "has one already" in mails.sent[-1]["text"] and len(accounts.list_all()) == 1
    assert Api().post("/account/login", SENT).status == 200


def test_an_account_that_was_never_confirmed_makes_room_after_a_day(each_store, clock, mails, sign_up):
    theirs = SENT | {"password": NEW, "cpassword": NEW}
    Api().post("/account", theirs)
    clock.advance(3_600)
    Api().post("/account", SENT)
    assert len(mails.sent) == 2 and len(accounts.list_all()) == 1
    clock.advance(2 * 86_400)
    Api().post("/account", SENT)
    Api().get(f"/account/confirm/{mails.token()}")
    assert Api().post("/account/login", SENT).status == 200 and Api().post("/account/login", theirs).status == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [({"email": "a"}, "email"), ({"email": "a@b@c"}, "email"), ({"email": "@x"}, "email"), ({"email": "a b@x"}, "email"),
     ({"email": "a@x\n"}, None), ({"email": "a\nb@x"}, "email"), ({"email": "a" * 250 + "@x.org"}, "email"),
     ({"password": "short", "cpassword": "short"}, "password"), ({"password": "x" * 257}, "password"),
     ({"cpassword": "other-password"}, "cpassword"), ({"timezone": "x"}, "timezone"), ({"name": ""}, "name")],
)  # fmt: skip
def test_a_bad_account_names_the_field(each_store, mails, sign_up, change, field):
    answer = Api().post("/account", SENT | change)
    assert (answer.status == 200) if field is None else (field in answer.body["field_errors"])


def test_resend_always_answers_one_text(each_store, clock, mails, sign_up):
    Person("active@x.org")
    Api().post("/account", SENT)
    clock.advance(60)
    answers = {
        Api().get(f"/account/resend_confirmation/{email}").text for email in ("b%40x.org", "active@x.org", "no@x")
    }
    assert len(answers) == 1 and [one["to"] for one in mails.sent] == ["B@x.org", "B@x.org"]
    assert Api().get(f"/account/confirm/{mails.token()}").status == 200


def test_mails_to_an_account_are_limited(person, mails, clock):
    for _ in range(3):
        Api().get("/account/passwordreset/a@x.org")
    assert len(mails.sent) == 1, "one a minute"
    for _ in range(30):
        clock.advance(60)
        Api().get("/account/passwordreset/a@x.org")
    assert len(mails.sent) == 20, "twenty a day"
    clock.advance(86_400)
    Api().get("/account/passwordreset/a@x.org")
    assert len(mails.sent) == 21


def test_an_address_asks_for_twenty_mails_a_minute(each_store, clock, mails):
    for number in range(20):
        assert Api().get(f"/account/passwordreset/{number}@x.org").status == 200
    assert Api().get("/account/passwordreset/x@x.org").status == 429


def test_sign_ups_of_an_address_are_limited_before_a_password_is_hashed(each_store, clock, mails, sign_up, monkeypatch):
    hashed = []
    monkeypatch.setattr(passwords, "hashed", lambda password: hashed.append(password) or "hash")
    answers = [Api().post("/account", SENT | {"email": f"{number}@x.org"}).status for number in range(25)]
    assert answers == [200] * 20 + [429] * 5 and len(hashed) == 20


def test_mailed_path_is_decoded_but_plus_stays(each_store, clock, mails):
    Person("a+b@x.org")
    for path in ("a+b@x.org", "a%2Bb%40x.org", "A%2bB@X.ORG"):
        clock.advance(60)
        mails.sent.clear()
        assert Api().get(f"/account/passwordreset/{path}").status == 200 and len(mails.sent) == 1, path
    assert Api().get("/account/passwordreset/%FF").status == 400
    assert ROUTER.find("/account/passwordreset/a%2Bb%40x.org")[1] == {"email": "a%2Bb%40x.org"}


def test_reset_answers_one_text_and_its_token_works_once(person, mails, clock):
    texts = {Api().get(f"/account/passwordreset/{email}").text for email in ("a@x.org", "nobody@x.org", "x")}
    assert len(texts) == 1 and len(mails.sent) == 1
    token = mails.token()
    assert token not in all_entities()
    for path in (f"/account/confirm/{token}", f"/account/confirm/{token[:-1]}0"):
        assert Api().get(path).status == 400, "only there"
    assert Api(token).get("/account", headers={"token": token}).status == 401
    assert Api(token).post("/account/passwordreset", {"password": "short"}).status == 400
    assert Api(token).post("/account/passwordreset", {"password": NEW}).result == "Password Successfully Changed"
    assert Api(token).post("/account/passwordreset", {"password": PASSWORD}).status == 400
    assert person.login().status == 401 and person.login(NEW).status == 200


def test_a_used_token_does_not_come_back_with_a_link_that_is_made_meanwhile(person, mails, clock, monkeypatch):
    Api().get("/account/passwordreset/a@x.org")
    token = mails.token()
    clock.advance(60)
    find, raced = accounts.find, []

    def find_and_lose(email):
        found = find(email)
        if not raced:
            raced.append(Api(token).post("/account/passwordreset", {"password": NEW}).status)
        return found

    monkeypatch.setattr(accounts, "find", find_and_lose)
    Api().get("/account/passwordreset/a@x.org")
    assert raced == [200] and mails.token() != token
    assert Api(token).post("/account/passwordreset", {"password": PASSWORD}).status == 400
    assert Api(mails.token()).post("/account/passwordreset", {"password": PASSWORD}).status == 200


def test_reset_token_lasts_thirty_minutes(person, mails, clock):
    Api().get("/account/passwordreset/a@x.org")
    clock.advance(30 * 60 - 1)
    assert page("GET", mails.link())[0] == 200
    clock.advance(1)
    assert Api(mails.token()).post("/account/passwordreset", {"password": NEW}).status == 400
    assert page("GET", mails.link())[0] == 400


def test_reset_ends_all_tokens_that_the_account_made_but_those_of_devices(person, mails, clock):
    other = Person("o@x.org")
    for owner in (person, other):
        member = Entity(names.account(owner.id), names.profile(other.profile), {"role": "member"})
        store.current().put(member)
    mine = person.api()
    foreign = Api(person.new_token(profile_id=other.profile).result["token"])
    service = tokens.new(
        kind="service", profile=person.profile, subject="", sent={"name": "s", "permission": "full"}, account=person.id
    )
    tokens.store_all(service.entities)
    device = mine.post("/device", {"name": "Device"}).result
    theirs = other.api()
    Api().get("/account/passwordreset/a@x.org")
    Api(mails.token()).post("/account/passwordreset", {"password": NEW})
    assert mine.get("/device").status == 401 and foreign.get("/device").status == 401
    assert not store.current().list(names.profile(other.profile), names.made(person.id, ""))
    (left,) = store.current().list(names.profile(person.profile), names.made(person.id, ""))
    assert store.current().get(names.token(left.name.rpartition("#")[2]), names.TOKEN).doc["kind"] == "device"
    assert Api(device["token"]).get("/info").status == 200 and theirs.get("/device").status == 200
    assert Api(person.owner_token).get("/device").status == 200, "an operator made it"


def test_password_change_needs_a_fresh_token(person, clock):
    api = person.api()
    assert Api(person.owner_token).post("/account/passwordreset", {"password": NEW}).status == 400
    for token in (None, "x", "p-00000000-0000-4000-8000-000000000000"):
        assert Api(token).post("/account/passwordreset", {"password": NEW}).status == 401
    clock.advance(900)
    assert api.post("/account/passwordreset", {"password": NEW}).status == 200
    assert api.get("/account").status == 401, "the token that changed it ended, too"
    person.login(NEW)
    fresh = Api(person.new_token(NEW).result["token"])
    clock.advance(901)
    refused = fresh.post("/account/passwordreset", {"password": PASSWORD})
    assert refused.status == 400 and "15 minutes" in refused.message


def page(method, path, raw=None):
    """Return status, headers and text of a page."""
    answer = Api()(method, path, raw=raw, headers={"content-type": "application/x-www-form-urlencoded"})
    return answer.status, answer.headers, answer.text


def test_mailed_page_changes_nothing_until_its_button_is_pressed(person, mails, clock):
    Api().get("/account/passwordreset/a@x.org")
    for _ in range(2):
        status, headers, text = page("GET", mails.link())
        assert status == 200 and headers["content-type"].startswith("text/html") and '<form method="post">' in text
        assert "default-src 'none'" in headers["content-security-policy"] and "<script" not in text
        assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
    assert person.login().status == 200
    for raw in (None, "password=short&again=short", f"password={NEW}&again=x", "x" * 5_000, "&a=" * 50):
        assert page("POST", mails.link(), raw)[0] == 400
    assert page("POST", mails.link(), f"password={NEW}&again={NEW}")[0] == 200
    assert person.login(NEW).status == 200 and page("GET", mails.link())[0] == 400


def test_confirmation_page(each_store, clock, mails, sign_up):
    Api().post("/account", SENT)
    assert page("GET", mails.link())[0] == 200 and not accounts.find("b@x.org")["active"]
    assert page("POST", mails.link())[0] == 200 and accounts.find("b@x.org")["active"]
    assert page("GET", mails.link())[0] == 400 == page("POST", mails.link())[0]
    assert "&lt;" not in page("GET", "/page/confirm/<b>")[2] and "<b>" not in page("GET", "/page/confirm/<b>")[2]


def test_reset_of_an_unconfirmed_account_confirms_it(each_store, clock, mails, sign_up):
    Api().post("/account", SENT)
    clock.advance(60)
    Api().get("/account/passwordreset/b@x.org")
    Api(mails.token()).post("/account/passwordreset", {"password": NEW})
    assert len(Api().post("/account/login", SENT | {"password": NEW}).result["profiles"]) == 1


def test_without_mail_the_answer_says_so(each_store, sign_up):
    for answer in (
        Api().post("/account", SENT), Api().get("/account/passwordreset/a@x.org"),
        Api().get("/account/resend_confirmation/a@x.org"),
    ):  # fmt: skip
        assert answer.status == 400 and answer.message.startswith("No mail is configured"), answer.text


def test_an_account_is_deleted_with_all_that_it_owns(person, mails, clock):
    other = Person("o@x.org")
    for owner, name in ((names.account(person.id), names.profile(other.profile)), (names.profile(other.profile), names.member(person.id))):  # fmt: skip
        store.current().put(Entity(owner, name, {"role": "member"}))
    foreign = Api(person.new_token(profile_id=other.profile).result["token"])
    assert Api(person.owner_token).delete("/account").status == 400, "it was not made by password"
    api = person.api()
    clock.advance(901)
    assert api.delete("/account").status == 400, "too old"
    api = person.api()
    assert api.delete("/account").result == "Account Successfully Deleted"
    assert person.login().status == 401 and foreign.get("/device").status == 401 and api.get("/device").status == 401
    assert not store.current().list(names.profile(other.profile), names.MEMBERS)
    clock.advance(erasures.SETTLED_S)
    profile_erasures.resume()
    log = store.current().list(names.audit(other.profile), "")
    assert [entity.doc["message"] for entity in log] == ["Create a token by e-mail and password"]
    store.current().delete(
        names.audit(other.profile), [entity.name for entity in log]
    )  # it belongs to the other profile
    assert person.id not in all_entities() and person.profile not in all_entities()
    assert Person().id != person.id, "the address is free"


def test_an_account_is_not_deleted_while_a_profile_has_other_members(person):
    store.current().put(Entity(names.profile(person.profile), names.member("0" * 24), {"role": "member"}))
    refused = person.api().delete("/account")
    assert refused.status == 409 and "members" in refused.message
    store.current().delete(names.profile(person.profile), [names.member("0" * 24)])
    devices.create(profile=person.profile, sent={"name": "Device"})
    assert person.api().delete("/account").status == 200 and person.login().status == 401


def test_a_profile_without_account_has_none(world):
    for method, path in (("GET", "/account"), ("PUT", "/account")):
        assert world.admin(method, path, json_body={"name": "n"} if method == "PUT" else None).status == 404


def test_nothing_secret_is_logged_or_stored(person, app, clock, mails):
    from chalicelib.host import log

    written = []
    log.use(written.append)
    person.login(pin_code=pin(app, clock))
    person.login("wrong-secret")
    Api().get("/account/passwordreset/a@x.org")
    token = mails.token()
    page("GET", mails.link())
    Api(token).post("/account/passwordreset", {"password": NEW})
    everything = "".join(written) + all_entities()
    for text in (PASSWORD, "wrong-secret", NEW, token, pin(app, clock)):
        assert text not in everything
    assert re.search(r'"route":"/page/password/{token}"', "".join(written))


def test_a_link_gives_the_account_what_its_own_sign_up_has_chosen(each_store, clock, mails, sign_up):
    stranger = SENT | {"name": "Stranger", "password": "of-a-stranger", "cpassword": "of-a-stranger"}
    assert Api().post("/account", stranger).status == 200
    clock.advance(61)
    assert Api().post("/account", SENT).status == 200
    link = mails.token()
    clock.advance(61)
    assert Api().post("/account", stranger).status == 200
    assert Api().get(f"/account/confirm/{link}").status == 200
    login = {"email": SENT["email"], "password": SENT["password"]}
    assert Api().post("/account/login", login).result["name"] == SENT["name"]
    assert Api().post("/account/login", login | {"password": "of-a-stranger"}).status == 401
    assert Api().get(f"/account/confirm/{mails.token()}").status == 400, "the others have ended"
