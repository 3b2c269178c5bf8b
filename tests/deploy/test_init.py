"""``init`` completes a stage that a template made; ``up`` and ``down`` leave such a stage alone."""

import hashlib
import io
import json
import re
import subprocess
import zipfile

import pytest

from chalicelib.codec import tokens
from chalicelib.services.access import passwords
from chalicelib.store import names
from deploy import spec, throttles
from deploy.names import Names

NAMES = Names("dev")


@pytest.fixture
def account(open_account):
    return open_account()


def make_tables(account):
    for name, shape in spec.tables(Names("dev")).items():
        account.client("dynamodb").create_table(TableName=name, **shape)


def make_usage_plans(account):
    for plan in throttles.usage_plans([]):
        account.client("apigateway").create_usage_plan(name=NAMES.usage_plan(plan))


def make_function(account, tags):
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = account.client("iam").create_role(RoleName="made-by-hand", AssumeRolePolicyDocument=trust)["Role"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("app.py", "")
    account.client("lambda").create_function(
        FunctionName="decant-dev",
        Role=role["Arn"],
        Runtime="python3.12",
        Handler="app.app",
        Code={"ZipFile": code.getvalue()},
        Tags=tags,
    )


def stored(account, owner, name):
    key = {"owner": {"S": owner}, "name": {"S": name}}
    return json.loads(account.client("dynamodb").get_item(TableName=NAMES.entities, Key=key)["Item"]["doc"]["S"])


def test_init_makes_secret_profile_token_and_key_and_a_second_run_changes_nothing(account):
    make_tables(account)
    make_usage_plans(account)
    first = account.run("init")
    (token,) = re.findall(r"^Profile token +(p-\S+) ", first, re.MULTILINE)
    assert first.index("Profile token") < first.index("API keys"), "a step that fails later must not lose the token"
    caller = stored(account, names.token(tokens.fingerprint(tokens.bare(token))), names.TOKEN)
    assert caller["permission"] == "full"
    secret = account.client("ssm").get_parameter(Name=NAMES.secret_parameter, WithDecryption=True)["Parameter"]
    assert secret["Type"] == "SecureString" and secret["Value"] not in first
    api = account.client("apigateway")
    found = {key["name"]: key["value"] for key in api.get_api_keys(includeValues=True)["items"]}
    shared = {name: tokens.api_key(secret["Value"].encode(), "", name) for name in ("waiting", "loud")}
    assert {name: found.pop(f"decant-dev-{name}") for name in shared} == shared
    ((name, value),) = found.items()
    profile = name.removeprefix("decant-dev-").removesuffix("-unlimited")
    assert value == tokens.api_key(secret["Value"].encode(), profile, "unlimited")
    assert stored(account, names.profile(profile), names.LIMITS)["key_ready"] == "unlimited"
    (unlimited,) = [plan for plan in api.get_usage_plans()["items"] if plan["name"] == NAMES.usage_plan("unlimited")]
    assert [one["name"] for one in api.get_usage_plan_keys(usagePlanId=unlimited["id"])["items"]] == [name]
    second = account.run("init")
    assert set(re.findall(r"^(\w+) ", second, re.MULTILINE)) == {"Account", "unchanged"}
    assert account.client("ssm").get_parameter(Name=NAMES.secret_parameter, WithDecryption=True)["Parameter"] == secret
    assert len(api.get_api_keys()["items"]) == 3


def test_init_continues_where_an_earlier_run_ended(account):
    make_tables(account)
    make_usage_plans(account)
    account.run("init")
    api = account.client("apigateway")
    before = api.get_api_keys()["items"]
    for key in before:
        api.delete_api_key(apiKey=key["id"])
    again = account.run("init")
    assert "Profile token" not in again and re.search(r"^created +API keys", again, re.MULTILINE)
    assert sorted(one["name"] for one in api.get_api_keys()["items"]) == sorted(key["name"] for key in before)


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (make_usage_plans, "table decant-dev-segments, table decant-dev-entities"),
        (make_tables, ", ".join(f"usage plan {NAMES.usage_plan(plan)}" for plan in throttles.usage_plans([]))),
    ],
)
def test_init_without_the_template_makes_nothing_and_says_what_is_missing(account, make, missing):
    make(account)
    printed = account.refusal("init")
    assert printed == f"Missing: {missing}. Deploy the template of stage dev first, then run this again\n"
    assert account.client("ssm").describe_parameters()["Parameters"] == []
    assert account.client("apigateway").get_api_keys()["items"] == []


@pytest.mark.parametrize(
    ("command", "tags"),
    [
        (("up",), spec.TEMPLATE_TAG),
        (("up",), {"aws:cloudformation:stack-name": "decant-dev"}),
        (("down", "--data"), spec.TEMPLATE_TAG),
    ],
)
def test_up_and_down_leave_alone_what_a_template_made(account, command, tags):
    make_tables(account)
    make_function(account, tags)
    assert "A template made stage dev" in account.refusal(*command)
    assert len(account.client("dynamodb").list_tables()["TableNames"]) == 2
    assert account.client("sqs").list_queues().get("QueueUrls", []) == []
    assert [one["FunctionName"] for one in account.client("lambda").list_functions()["Functions"]] == ["decant-dev"]


def test_account_is_the_one_that_is_set_and_its_password_can_be_set_again(account):
    make_tables(account)
    make_usage_plans(account)
    wrong = account.attempt("init", environment=account.environment | {"DECANT_PASSWORD": "short"})
    assert wrong.returncode == 1 and "DECANT_PASSWORD: password must have" in wrong.stderr
    chosen = {"DECANT_EMAIL": "Me@x.org", "DECANT_PASSWORD": "my own password"}
    done = account.attempt("init", environment=account.environment | chosen)
    assert done.returncode == 0 and "Account         Me@x.org" in done.stdout and "Password" not in done.stdout, (
        done.stderr
    )

    def password():
        key = hashlib.sha256(b"me@x.org").hexdigest()
        owner = names.account(stored(account, names.email(key), names.ACCOUNT)["account"])
        return stored(account, owner, names.ACCOUNT)["password"]

    assert passwords.matches("my own password", password())
    for email, text, code in (
        ("nobody@x.org", "a new password", 1),
        ("me@x.org", "short", 1),
        ("me@x.org", "a new password", 0),
    ):
        done = subprocess.run(
            account.command("password", "--email", email), cwd=account.folder, env=account.environment, input=f"{text}\n",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code and "a new password" not in done.stdout, done.stderr
    assert passwords.matches("a new password", password())
