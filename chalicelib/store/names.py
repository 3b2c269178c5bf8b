"""Every key of the two tables, on one page.

The table of segments has the hash key ``device`` and the range key ``key``, which ``codec.keys`` makes.
The table of entities has the hash key ``owner`` and the range key ``name``::

    owner                name                                    what it holds
    profiles             profile#<profile>                       nothing: it lists the profiles of the deployment
    profile#<profile>    profile                                 the profile: name and plan
    profile#<profile>    device#<device>                         a device
    profile#<profile>    action#<action>                         an action
    profile#<profile>    token#<fingerprint>                     a token of the profile, as lists show it
    profile#<profile>    serial#<serial>#<device>#<fingerprint>  the device with a token of that serial
    profile#<profile>    counters#<device>                       DynamoDB: its counters; no device: of deleted ones
    device#<device>      token#<fingerprint>                     a token of the device, as lists show it
    device#<device>      param#<param>                           a configuration parameter
    device#<device>      directory                               the device's variables, with first and newest hour
    device#<device>      request#<SHA-256 of the key>            an Idempotency-Key, for 24 hours
    device#<device>      client#<client id>                      an MQTT client id that is bound to the device
    token#<fingerprint>  token                                   the caller behind the token
    client#<client id>   binding                                 the device that the MQTT client id is bound to
    erasures             device#<device>                         the marker of a device that is being erased
    dead-letters         <milliseconds>-<random>                 embedded: an MQTT message that could not be stored
    local                seed                                    embedded: the first profile and device

A fingerprint is the SHA-256 of a token's text, in hex.
"""

PROFILES = "profiles"
ERASURES = "erasures"
DEAD_LETTERS = "dead-letters"
EMBEDDED = "local"
"""Owners of which there is only one."""

PROFILE = "profile"
DIRECTORY = "directory"
TOKEN = "token"  # noqa: S105 - a name
BINDING = "binding"
SEED = "seed"
"""Names of which an owner has only one."""

ANY = ""
DEVICES = "device#"
ACTIONS = "action#"
TOKENS = "token#"
PARAMS = "param#"
CLIENTS = "client#"
COUNTERS = "counters#"
"""Beginnings of names of which an owner has many: what ``Store.list`` takes."""


def profile(profile_id: str) -> str:
    """Return the owner, or the name in the list of profiles, of a profile."""
    return f"profile#{profile_id}"


def device(device_id: str) -> str:
    """Return the owner, or the name below its profile, of a device."""
    return f"device#{device_id}"


def action(action_id: str) -> str:
    """Return the name of an action."""
    return f"action#{action_id}"


def token(fingerprint: str) -> str:
    """Return the owner, or the name below its device or profile, of a token."""
    return f"token#{fingerprint}"


def param(param_id: str) -> str:
    """Return the name of a configuration parameter."""
    return f"param#{param_id}"


def client(client_id: str) -> str:
    """Return the owner, or the name below its device, of an MQTT client id."""
    return f"client#{client_id}"


def request(key_hash: str) -> str:
    """Return the name of an Idempotency-Key."""
    return f"request#{key_hash}"


def serials(serial: str) -> str:
    """Return the beginning of the names of the tokens with a serial number."""
    return f"serial#{serial}#"


def serial(serial_number: str, device_id: str, fingerprint: str) -> str:
    """Return the name by which a token with a serial number is found."""
    return f"{serials(serial_number)}{device_id}#{fingerprint}"


def counters(device_id: str) -> str:
    """Return the name of a device's counters on DynamoDB; an empty id means the deleted devices."""
    return f"counters#{device_id}"


def dead_letter(at_ms: int, unique: str) -> str:
    """Return the name of a dead letter: names sort by time."""
    return f"{at_ms:013d}-{unique}"
