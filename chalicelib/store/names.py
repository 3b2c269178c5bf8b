"""All keys of the two tables.

The table of segments has the hash key ``device`` and the range key ``key``, which ``codec.keys`` makes.
The table of entities has the hash key ``owner`` and the range key ``name``::

    owner                name                                    what it holds
    profiles             profile#<profile>                       nothing: the names list the deployment's profiles
    profile#<profile>    profile                                 the profile: name and plan
    accounts             account#<account>                       nothing: the names list the deployment's accounts
    account#<account>    account                                 the account
    account#<account>    profile#<profile>                       a profile that the account owns or is a member of
    email#<SHA-256>      account                                 the account with this e-mail address
    profile#<profile>    member#<account>                        a member of the profile's team
    profile#<profile>    device#<device>                         a device
    profile#<profile>    action#<action>                         an action
    profile#<profile>    token#<fingerprint>                     a token of the profile, as lists show it
    profile#<profile>    serial#<serial>#<device>#<fingerprint>  the device with a token of that serial
    profile#<profile>    made#<account>#<fingerprint>            nothing: the account made it, or a token that made it
    profile#<profile>    limits                                  plan and what is used up: all that a request needs
    profile#<profile>    counters#<device>                       DynamoDB: the device's counters
    profile#<profile>    counters#                               DynamoDB: the counters of all deleted devices
    device#<device>      token#<fingerprint>                     a token of the device, as lists show it
    device#<device>      param#<param>                           a configuration parameter
    device#<device>      directory                               the device's variables, with first and newest hour
    device#<device>      directory#<number>                      more of its variables: 128 a part
    device#<device>      request#<SHA-256 of the key>            an Idempotency-Key, for 24 hours
    device#<device>      client#<client id>                      an MQTT client id that is bound to the device
    analysis#<analysis>  token#<fingerprint>                     a token of the analysis, as lists show it
    run_user#<user>      token#<fingerprint>                     a token of the run user, as lists show it
    token#<fingerprint>  token                                   the caller behind the token
    client#<client id>   binding                                 the device that the MQTT client id is bound to
    erasures             device#<device>                         the marker of a device that is being erased
    retentions           device#<device>#<milliseconds>          DynamoDB: the marker of a change of retention
    recounts             device#<device>                         DynamoDB: the marker of a device to be counted again
    dead-letters         <milliseconds>-<random>                 embedded: an MQTT message that could not be stored
    deploy               lock                                    DynamoDB: who changes the stage at the moment
    deploy               restored#<mark>#<note>                  DynamoDB: what became of restored tables
    local                seed                                    embedded: the first profile and device

A fingerprint is the SHA-256 of a token's text, in hex.
"""

PROFILES = "profiles"
ACCOUNTS = "accounts"
ERASURES = "erasures"
RETENTIONS = "retentions"
RECOUNTS = "recounts"
DEAD_LETTERS = "dead-letters"
EMBEDDED = "local"
DEPLOYMENT = "deploy"
"""Owners that exist only once."""

PROFILE = "profile"
ACCOUNT = "account"
DIRECTORY = "directory"
TOKEN = "token"  # noqa: S105 - a name
BINDING = "binding"
LIMITS = "limits"
SEED = "seed"
LOCK = "lock"
"""Names that an owner has only once."""

ANY = ""
DEVICES = "device#"
ACTIONS = "action#"
MEMBERS = "member#"
ANALYSES = "analysis#"
RUN_USERS = "run_user#"
MADE = "made#"
TOKENS = "token#"
PARAMS = "param#"
CLIENTS = "client#"
DIRECTORIES = "directory#"
COUNTERS = "counters#"
"""Prefixes of names of which an owner has many, for ``Store.list``."""


def profile(profile_id: str) -> str:
    """Return the key of a profile. It is the owner of the profile's entities and the name in the list of profiles."""
    return f"profile#{profile_id}"


def account(account_id: str) -> str:
    """Return the key of an account. It is the owner of the account's entities and the name in the list of accounts."""
    return f"account#{account_id}"


def email(key_hash: str) -> str:
    """Return the owner of the entry by which an account is found by its e-mail address."""
    return f"email#{key_hash}"


def member(account_id: str) -> str:
    """Return the name of a member of a profile's team."""
    return MEMBERS + account_id


def device(device_id: str) -> str:
    """Return the key of a device. It is the owner of the device's entities and the device's name below its profile."""
    return DEVICES + device_id


def analysis(analysis_id: str) -> str:
    """Return the key of an analysis. It is the owner of its tokens and the analysis's name below its profile."""
    return ANALYSES + analysis_id


def run_user(user_id: str) -> str:
    """Return the key of a run user. It is the owner of its tokens and the user's name below its profile."""
    return RUN_USERS + user_id


def made(account_id: str, fingerprint: str) -> str:
    """Return the name by which a token is found by the account that made it."""
    return f"{MADE}{account_id}#{fingerprint}"


def retention(device_id: str, at_ms: int) -> str:
    """Return the name of the marker of a change of retention, one a change."""
    return f"{device(device_id)}#{at_ms:013d}"


def token(fingerprint: str) -> str:
    """Return the key of a token. It is the owner of the caller and the token's name below its device or profile."""
    return TOKENS + fingerprint


def client(client_id: str) -> str:
    """Return the key of an MQTT client id. It is the owner of the binding and the id's name below its device."""
    return CLIENTS + client_id


def request(key_hash: str) -> str:
    """Return the name of an Idempotency-Key."""
    return f"request#{key_hash}"


def directory(number: int) -> str:
    """Return the name of a part of the directory. Part 0 is the one that earlier versions wrote."""
    return f"{DIRECTORIES}{number:03d}" if number else DIRECTORY


def serials(serial: str) -> str:
    """Return the prefix of the names of all tokens with a serial number."""
    return f"serial#{serial}#"


def serial(serial_number: str, device_id: str, fingerprint: str) -> str:
    """Return the name by which a token is found by its serial number."""
    return f"{serials(serial_number)}{device_id}#{fingerprint}"


def counters(device_id: str) -> str:
    """Return the name of a device's counters on DynamoDB. An empty id means all deleted devices together."""
    return COUNTERS + device_id


def restored(mark: str, note: str) -> str:
    """Return the name of a note about restored tables, which the mark in their names tells apart."""
    return f"restored#{mark}#{note}"


def dead_letter(at_ms: int, unique: str) -> str:
    """Return the name of a dead letter. The names sort by time."""
    return f"{at_ms:013d}-{unique}"
