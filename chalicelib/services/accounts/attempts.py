"""Limits how often somebody may fail to log in, so that passwords and pins cannot be guessed.

The first five failures of an account from one address cost nothing. Each further one makes that address wait, for 1, 2,
4 … 60 seconds; a success resets this. So nobody can lock out somebody else. Besides, an address has 20 failures a
minute for all accounts together. Who knows the password but not the pin waits for a minute after five wrong pins,
whatever the address: only then could pins be guessed from many addresses.

The embedded mode counts in memory, AWS in the table of entities. A right password writes nothing, unless failures came
before it.
"""

import hashlib
import ipaddress
from collections import OrderedDict
from typing import NamedTuple

from chalicelib import errors, store
from chalicelib.host import clock
from chalicelib.host.slot import Slot
from chalicelib.store import ABSENT, Entity, names

FREE, LONGEST_S = 5, 60
PER_ADDRESS, WINDOW_S = 20, 60
WRONG_PINS = 5
KEPT_S = 3_600
"""After how long without a failure an account and address, or the pins of an account, start anew."""
MAX_KEPT = 10_000
"""How many numbers the embedded mode keeps. The oldest is dropped: about 2 MB."""
_RACES = 10


class Failures(NamedTuple):
    """How often something failed."""

    number: int = 0
    first_ms: int = 0
    last_ms: int = 0


_NONE = Failures()
_slot: Slot["OrderedDict[str, Failures]"] = Slot(OrderedDict)
use = _slot.use


class Login(NamedTuple):
    """Who tries to log in, as far as it is counted."""

    pair: str
    address: str
    has_failed: bool
    """Whether a try failed before, so that a success resets it."""


def begin(*, email_key: str, address: str) -> Login:
    """Return who tries to log in, if a try is allowed now.

    Args:
        email_key: from ``emails.key``. The account need not exist.
        address: the client's address; of IPv6, the first half decides, as anybody has all the others.

    Raises:
        errors.TooManyRequests: too many tries have failed.

    Cost: no read in the embedded mode; two on DynamoDB.
    """
    network = _network(address)
    pair, whole = _hash("pair", email_key, network), _hash("address", network)
    _check_address(whole)
    failed = _get(pair, KEPT_S)
    if failed.number > FREE:
        _wait_until(failed.last_ms + min(2 ** (failed.number - FREE - 1), LONGEST_S) * 1_000)
    return Login(pair, whole, failed.number > 0)


def fail(login: Login) -> None:
    """Count a wrong password. Cost: no call in the embedded mode; two reads and two writes on DynamoDB."""
    _add(login.pair, KEPT_S)
    _add(login.address, WINDOW_S)


def succeed(login: Login) -> None:
    """Forget the failures of an account from an address. Cost: none if there was none; else one write."""
    if login.has_failed:
        _forget(login.pair)


def check(address: str) -> None:
    """Raise errors.TooManyRequests if an address has done too much in this minute."""
    _check_address(_hash("address", _network(address)))


def take(address: str) -> None:
    """Count a request of somebody unknown that makes work, such as a mail, like a failure of the address.

    Raises:
        errors.TooManyRequests: the address has done too much in this minute.
    """
    check(address)
    _add(_hash("address", _network(address)), WINDOW_S)


def check_pins(account: str) -> None:
    """Raise errors.TooManyRequests if too many pins of an account were wrong."""
    failed = _get(_hash("pins", account), KEPT_S)
    if failed.number >= WRONG_PINS:
        _wait_until(failed.last_ms + LONGEST_S * 1_000)


def fail_pin(account: str) -> None:
    """Count a wrong pin of an account."""
    _add(_hash("pins", account), KEPT_S)


def forget_pins(account: str) -> None:
    """Forget the wrong pins of an account. Cost: one read; one write if there were any."""
    key = _hash("pins", account)
    if _get(key, KEPT_S).number:
        _forget(key)


def _check_address(key: str) -> None:
    failed = _get(key, WINDOW_S)
    if failed.number >= PER_ADDRESS:
        _wait_until(failed.first_ms + WINDOW_S * 1_000)


def _wait_until(at_ms: int) -> None:
    left_ms = at_ms - clock.now_ms()
    if left_ms > 0:
        raise errors.TooManyRequests(-(-left_ms // 1_000))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address


def _get(key: str, kept_s: int) -> Failures:
    if store.current().is_exclusive:
        failures = _slot.current().get(key, _NONE)
    else:
        entity = store.current().get(names.attempts(key), names.ATTEMPTS)
        failures = Failures(**entity.doc) if entity else _NONE
    return _recent(failures, kept_s)


def _recent(failures: Failures, kept_s: int) -> Failures:
    """Return the failures, none if they are too old: since the first one for an address, else since the last one."""
    since_ms = failures.first_ms if kept_s == WINDOW_S else failures.last_ms
    return failures if clock.now_ms() < since_ms + kept_s * 1_000 else _NONE


def _one_more(failures: Failures) -> Failures:
    now_ms = clock.now_ms()
    return Failures(failures.number + 1, failures.first_ms or now_ms, now_ms)


def _add(key: str, kept_s: int) -> None:
    if not store.current().is_exclusive:
        _add_stored(key, kept_s)
        return
    kept = _slot.current()
    kept[key] = _one_more(_recent(kept.get(key, _NONE), kept_s))
    kept.move_to_end(key)
    if len(kept) > MAX_KEPT:
        kept.popitem(last=False)


def _add_stored(key: str, kept_s: int) -> None:
    """Count in the table. Who loses one race after the other has too many tries at once: it is refused."""
    owner = names.attempts(key)
    entity = store.current().get(owner, names.ATTEMPTS)
    for _ in range(_RACES):
        failures = _one_more(_recent(Failures(**entity.doc) if entity else _NONE, kept_s))
        version = entity.version if entity else ABSENT
        expires_at = failures.last_ms // 1_000 + kept_s
        counted = Entity(owner, names.ATTEMPTS, failures._asdict(), version + 1, expires_at)
        lost = store.current().put_if(counted, version=version)
        if lost is None:
            return
        entity = lost.existing
    raise errors.TooManyRequests(1)


def _forget(key: str) -> None:
    if store.current().is_exclusive:
        _slot.current().pop(key, None)
    else:
        store.current().delete(names.attempts(key), [names.ATTEMPTS])
