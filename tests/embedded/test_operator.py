"""The first account of the embedded mode, and the commands ``token`` and ``password``, as processes."""

import subprocess
import sys

import pytest

from tests.program import ROOT, fresh_environment


def run(directory, *arguments, stdin="", **environment):
    return subprocess.run(
        [sys.executable, "-m", "embedded", *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True, check=False,
        env=fresh_environment() | {"DECANT_DATA_DIR": str(directory)} | environment, timeout=60,
    )  # fmt: skip


def login(program, password):
    return program.call("POST", "/account/login", body={"email": program.email, "password": password})


def test_account_is_made_once_and_an_operator_can_help(start, tmp_path):
    program = start()
    assert program.email == "admin@localhost"
    (profile,) = login(program, program.password)["profiles"]
    sent = {"email": program.email, "password": program.password, "profile_id": profile["id"], "name": "n"}
    own = program.call("POST", "/account/profile/token", body=sent)["token"]
    assert login(program, "wrong-password") == 401
    refused = run(tmp_path / "data", "token")
    assert refused.returncode == 1 and refused.stderr.startswith("Cannot make a token: Another process serves")
    assert program.stop()[0] == 0

    made = run(tmp_path / "data", "token")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    password = run(tmp_path / "data", "password", program.email, stdin="a new password\n")
    assert password.returncode == 0 and "a new password" not in password.stdout, password.stderr
    short = run(tmp_path / "data", "password", program.email, stdin="short\n")
    assert short.returncode == 1 and "8 to 256 characters" in short.stderr
    unknown = run(tmp_path / "data", "password", "nobody@x.org", stdin="a new password\n")
    assert unknown.returncode == 1 and "there are: admin@localhost" in unknown.stderr

    planned = run(tmp_path / "data", "plan", profile["id"], "free")
    assert planned.returncode == 0 and planned.stdout == f"Profile {profile['id']} has the plan free\n", planned.stderr
    for wrong, reason in (((profile["id"], "no-plan"), "unlimited"), (("0" * 24, "free"), "not found")):
        refused = run(tmp_path / "data", "plan", *wrong)
        assert refused.returncode == 1 and reason in refused.stderr

    again = start(DECANT_PASSWORD="chosen later", DECANT_EMAIL="other@x.org")
    assert "Password" not in again.welcome and again.email == "admin@localhost"
    assert again.profile_token == program.profile_token, "the token that the account made is its own"
    assert login(again, "a new password")["email"] == "admin@localhost" and login(again, "chosen later") == 401
    assert again.call("GET", "/device", token=token)[0]["name"] == "First device"
    assert again.call("GET", "/device", token=own) == 401
    assert again.call("GET", "/profile/current", token=token)["account_plan"] == "free"


def test_chosen_account_is_not_printed_and_a_link_is_in_the_log(start):
    program = start(DECANT_EMAIL="me@x.org", DECANT_PASSWORD="my own password")
    assert program.email == "me@x.org" and "Password" not in program.welcome
    assert login(program, "my own password")["email"] == "me@x.org"
    assert "in the log" in program.call("GET", "/account/passwordreset/me%40x.org")
    assert "in the log" in program.call(
        "POST", "/account", body={"name": "n", "email": "b@x.org", "password": "12345678"}
    )
    output, _ = program.stop()[1:]
    assert f"{program.url}/page/password/" in output and f"{program.url}/page/confirm/" in output
    assert "my own password" not in output and "12345678" not in output


def test_sign_up_is_closed_if_others_reach_the_server(start):
    program = start(DECANT_URL="https://iot.example.org/")
    assert program.call("POST", "/account", body={"name": "n", "email": "b@x.org", "password": "12345678"}) == 400
    program.call("GET", "/account/passwordreset/admin@localhost")
    assert "https://iot.example.org/page/password/" in program.stop()[1]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({"DECANT_PASSWORD": "short"}, "DECANT_PASSWORD: password must have 8"), ({"DECANT_EMAIL": "me"}, "DECANT_EMAIL: email must be"),
     ({"DECANT_SMTP_HOST": "localhost"}, "DECANT_SMTP_HOST needs DECANT_MAIL_FROM")],
)  # fmt: skip
def test_a_setting_that_cannot_work_is_named(tmp_path, environment, reason):
    done = run(tmp_path / "data", **environment)
    assert done.returncode == 1 and reason in done.stderr


def test_commands_need_a_data_folder(tmp_path):
    done = run(tmp_path / "none", "token")
    assert done.returncode == 1 and "start the server once" in done.stderr and not (tmp_path / "none").exists()


def test_addresses_are_told_apart_and_refused_changes_leave_no_event(start):
    program = start()
    (profile,) = login(program, program.password)["profiles"]
    path = f"/profile/{profile['id']}"
    assert program.call("DELETE", path, body={"password": "wrong-password"}, token=program.profile_token) == 401
    assert program.call("GET", f"{path}/auditlog", token=program.profile_token)["events"] == []
    program.call("PUT", path, body={"name": "Renamed"}, token=program.profile_token)
    (event,) = program.call("GET", f"{path}/auditlog", token=program.profile_token)["events"]
    assert event["message"] == "Change a profile" and event["address"] == "127.0.0.1"


def test_deployment_without_an_account_gets_account_and_profile_again(start):
    program = start()
    (profile,) = login(program, program.password)["profiles"]
    sent = {"email": program.email, "password": program.password, "profile_id": profile["id"], "name": "n"}
    own = program.call("POST", "/account/profile/token", body=sent)["token"]
    assert isinstance(program.call("DELETE", "/account", token=own), str)
    assert program.stop()[0] == 0
    again = start()
    assert len(login(again, again.password)["profiles"]) == 1
    assert again.call("GET", "/device", token=again.profile_token)[0]["name"] == "First device"
