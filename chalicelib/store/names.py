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
    profile#<profile>    invitation#<hash>                       an invitation to the team, for its owner
    email#<SHA-256>      invitation#<hash>                       the same, for the account with this e-mail address
    invitation#<hash>    invitation                              the same, for who has its text
    profile#<profile>    device#<device>                         a device
    profile#<profile>    action#<action>                         an action
    profile#<profile>    policy#<policy>                         a policy of access management
    profile#<profile>    analysis#<analysis>                     an analysis
    profile#<profile>    run_user#<user>                         a run user
    profile#<profile>    run_email#<SHA-256>                     the run user with this e-mail address
    profile#<profile>    connector#<connector>                   a connector
    profile#<profile>    network#<network>                       a network
    profile#<profile>    token#<fingerprint>                     a token of the profile, as lists show it
    profile#<profile>    serial#<serial>#<device>#<fingerprint>  the device with a token of that serial
    profile#<profile>    made#<account>#<fingerprint>            nothing: the account made it, or a token that made it
    profile#<profile>    limits                                  plan and what is used up: all that a request needs
    profile#<profile>    counters#<device>                       DynamoDB: the device's counters
    profile#<profile>    counters#                               DynamoDB: the counters of all deleted devices
    profile#<profile>    usage                                   DynamoDB: what the profile has used
    profile#<profile>    hour#<hour>                             DynamoDB: what it had used when the hour began
    profile#<profile>    alerts                                  which parts of its quotas were announced this month
    device#<device>      hour#<hour>                             DynamoDB: what it had used when the hour began
    audit#<profile>      <milliseconds>-<random>                 a change by a token of the profile, for half a year
    files#<profile>      <path>                                  a file of the profile: its size, and what became of it
    jobs                 device#<device>                         the backup or restore that runs for a device
    device#<device>      token#<fingerprint>                     a token of the device, as lists show it
    device#<device>      param#<param>                           a configuration parameter
    device#<device>      directory                               the device's variables, with first and newest hour
    device#<device>      directory#<number>                      more of its variables: 128 a part
    device#<device>      request#<SHA-256 of the key>            an Idempotency-Key, for 24 hours
    device#<device>      client#<client id>                      an MQTT client id that is bound to the device
    device#<device>      letter#<milliseconds>-<random>          embedded: an MQTT message that could not be stored
    device#<device>      sealing                                 DynamoDB: days to be sealed; its version is the epoch
    analysis#<analysis>  token#<fingerprint>                     a token of the analysis, as lists show it
    run_user#<user>      token#<fingerprint>                     a token of the run user, as lists show it
    network#<network>    token#<fingerprint>                     a token of the network, as lists show it
    token#<fingerprint>  token                                   the caller behind the token
    attempts#<SHA-256>   attempts                                DynamoDB: failed logins of an address, or pair, or pins
    client#<client id>   binding                                 the device that the MQTT client id is bound to
    erasures             device#<device>                         the marker of a device that is being erased
    erasures             profile#<profile>                       the marker of a profile that is being erased
    erasures             member#<account>#<profile>              the marker of a member that is being removed
    retentions           device#<device>#<milliseconds>          DynamoDB: the marker of a change of retention
    recounts             device#<device>                         DynamoDB: the marker of a device to be counted again
    keys                 profile#<profile>                       DynamoDB: the marker of a profile with an old API key
    dead-letters         <milliseconds>-<random>                 embedded: the same, as earlier versions wrote it
    deploy               lock                                    DynamoDB: who changes the stage at the moment
    deploy               sealing                                 DynamoDB: since when, and where older days were found
    deploy               restored#<mark>#<note>                  DynamoDB: what became of restored tables
    local                seed                                    embedded: the first profile and device
    local                sealed                                  embedded: up to when small segments were looked for

A fingerprint is the SHA-256 of a token's text, in hex.
"""

PROFILES = "profiles"
ACCOUNTS = "accounts"
ERASURES = "erasures"
RETENTIONS = "retentions"
RECOUNTS = "recounts"
JOBS = "jobs"
KEYS = "keys"
DEAD_LETTERS = "dead-letters"
EMBEDDED = "local"
DEPLOYMENT = "deploy"
"""Owners that exist only once."""

PROFILE = "profile"
ACCOUNT = "account"
DIRECTORY = "directory"
TOKEN = "token"  # noqa: S105 - a name
BINDING = "binding"
INVITATION = "invitation"
ATTEMPTS = "attempts"
LIMITS = "limits"
USAGE = "usage"
ALERTS = "alerts"
SEED, SEALED = "seed", "sealed"
LOCK = "lock"
SEALING = "sealing"
"""Names that an owner has only once."""

ANY = ""
DEVICES = "device#"
ACTIONS = "action#"
MEMBERS = "member#"
ANALYSES = "analysis#"
RUN_USERS = "run_user#"
POLICIES = "policy#"
CONNECTORS = "connector#"
NETWORKS = "network#"
MADE = "made#"
INVITATIONS = "invitation#"
TOKENS = "token#"
PARAMS = "param#"
CLIENTS = "client#"
LETTERS = "letter#"
DIRECTORIES = "directory#"
COUNTERS = "counters#"
HOURS = "hour#"
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


def attempts(key_hash: str) -> str:
    """Return the owner of a number of failed logins."""
    return f"attempts#{key_hash}"


def member(account_id: str) -> str:
    """Return the name of a member of a profile's team."""
    return MEMBERS + account_id


def membership(account_id: str, profile_id: str) -> str:
    """Return the name of the marker of a member that is being removed from a profile."""
    return f"{member(account_id)}#{profile_id}"


def invitation(text_hash: str) -> str:
    """Return the key of an invitation, by the SHA-256 of its text. It is the owner, and the name below two others."""
    return INVITATIONS + text_hash


def device(device_id: str) -> str:
    """Return the key of a device. It is the owner of the device's entities and the device's name below its profile."""
    return DEVICES + device_id


def analysis(analysis_id: str) -> str:
    """Return the key of an analysis. It is the owner of its tokens and the analysis's name below its profile."""
    return ANALYSES + analysis_id


def run_user(user_id: str) -> str:
    """Return the key of a run user. It is the owner of its tokens and the user's name below its profile."""
    return RUN_USERS + user_id


def network(network_id: str) -> str:
    """Return the key of a network. It is the owner of its tokens and the network's name below its profile."""
    return NETWORKS + network_id


def run_email(key_hash: str) -> str:
    """Return the name by which a run user is found by its e-mail address."""
    return f"run_email#{key_hash}"


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


def hour(hours: int) -> str:
    """Return the name of what was used when an hour began, in hours since 1970. The names sort by time."""
    return f"{HOURS}{hours:07d}"


def restored(mark: str, note: str) -> str:
    """Return the name of a note about restored tables, which the mark in their names tells apart."""
    return f"restored#{mark}#{note}"


def audit(profile_id: str) -> str:
    """Return the owner of the audit log of a profile."""
    return f"audit#{profile_id}"


def files(profile_id: str) -> str:
    """Return the owner of the files of a profile. Their names are their paths."""
    return f"files#{profile_id}"


def event(at_ms: int, unique: str) -> str:
    """Return the name of an event of an audit log. The names sort by time."""
    return f"{at_ms:013d}-{unique}"


def dead_letter(at_ms: int, unique: str) -> str:
    """Return the name of a dead letter. The names sort by time."""
    return f"{at_ms:013d}-{unique}"
