"""Sends a document to a URL of a client.

On AWS a URL must not reach what only this function can reach: the name is resolved once, each of its addresses must be
public, and the connection goes to the address that was checked. A redirect is not followed.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from typing import Any
from urllib.parse import SplitResult, urlsplit

import orjson

LIMIT_S = 5.0
"""How long one document may take."""
FAILURES = (OSError, http.client.HTTPException, ValueError)
"""What ``send`` raises if a URL does not answer as HTTP."""
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
"""The only addresses of IPv6 that the public internet has."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")
"""Addresses of protocols. Some clouds have services of the machine there; Python calls them public."""


class Refused(Exception):
    """A URL that nothing is sent to. The text says why."""


def problem(url: str, *, may_be_local: bool) -> str | None:
    """Return what is wrong with the form of a URL, or None.

    Args:
        url: as the client sent it.
        may_be_local: whether it may be plain HTTP to this machine, as in the embedded mode.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not a URL"
    is_local = may_be_local and parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if len(url) > 2_000 or not url.isascii() or not url.isprintable() or " " in url or not parts.hostname:
        return "must be a URL of at most 2,000 characters of ASCII"
    if parts.scheme != "https" and not is_local:
        return "must begin with https://"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    return None


def send(url: str, body: dict[str, Any], *, may_be_local: bool) -> int:
    """Send a document as JSON; return the status of the answer, of which nothing else is read.

    Args:
        url: a URL without a ``problem``.
        body: the document.
        may_be_local: whether the address may be one that is not public.

    Raises:
        Refused: nothing was sent.
        OSError, http.client.HTTPException, ValueError: it failed.
    """
    reason = problem(url, may_be_local=may_be_local)
    if reason is not None:
        raise Refused(f"The URL {reason}")
    parts = urlsplit(url)
    connection = _connect(parts, may_be_local=may_be_local)
    guard = threading.Timer(LIMIT_S, lambda: connection.sock and connection.sock.shutdown(socket.SHUT_RDWR))
    guard.daemon = True
    guard.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, orjson.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        guard.cancel()
        connection.close()


def send_in_time(url: str, body: dict[str, Any], *, may_be_local: bool) -> int:
    """Send a document as ``send`` does, and wait for ``LIMIT_S`` in all: ``send`` may take long to resolve a name.

    Raises:
        TimeoutError: there is no answer yet. The document may arrive still.
        Refused, OSError, http.client.HTTPException, ValueError: as ``send``.
    """
    done: list[int | Exception] = []

    def work() -> None:
        try:
            done.append(send(url, body, may_be_local=may_be_local))
        except Exception as error:
            done.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    if not done:
        raise TimeoutError("no answer in time")
    if isinstance(done[0], Exception):
        raise done[0]
    return done[0]


def _connect(parts: SplitResult, *, may_be_local: bool) -> http.client.HTTPConnection:
    """Return a connection to the host of a URL, at an address that may be reached."""
    host, is_plain = str(parts.hostname), parts.scheme == "http"
    port = parts.port or (80 if is_plain else 443)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not may_be_local and not all(_is_public(address) for address in addresses):
        raise Refused("The URL names an address that is not public")
    raw = socket.create_connection((addresses[0], port), LIMIT_S)
    connection = http.client.HTTPConnection(host, port, timeout=LIMIT_S)
    try:
        connection.sock = raw if is_plain else ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise
    return connection


def _is_public(address: str) -> bool:
    """Return whether an address is of the public internet, also if it is an IPv4 address in IPv6."""
    known = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(known, ipaddress.IPv4Address):
        return known.is_global and not known.is_multicast and known not in _PROTOCOLS
    inner = known.ipv4_mapped or known.sixtofour or (known.teredo[1] if known.teredo else None)
    if inner is None and known in _NAT64:
        inner = ipaddress.IPv4Address(int(known) & 0xFFFFFFFF)
    return known.is_global and known in _GLOBAL_IPV6 if inner is None else _is_public(str(inner))
