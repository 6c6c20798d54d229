"""The one login: credentials in a request's headers, and how failed attempts are slowed.

Knows user and password; knows nothing of routes and responses.
"""

import base64
import binascii
import hmac
import ipaddress
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cachetools import TTLCache

# After these failures of one address, each further one doubles the time until its next attempt is
# looked at, up to a minute: 1,500 guesses a day.
FREE_FAILURES = 5
MAX_SECONDS = 60.0
# Failures are forgotten after a quarter of an hour without one, and the oldest beyond this many
# addresses.
FORGOTTEN_AFTER = 900.0
MAX_ADDRESSES = 10_000


@dataclass(frozen=True)
class Credentials:
    """The user and password that the app asks for."""

    user: str
    password: str = field(repr=False)

    def accept(self, authorization: str) -> bool:
        """True for `Basic` base64(user:password) and for `Bearer user:password`."""
        kind, _, value = authorization.strip().partition(" ")
        given = value.strip().encode("latin-1", "replace")
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True)
            except binascii.Error:
                return False
        elif kind.lower() != "bearer":
            return False
        # in constant time, so that it tells nothing about how much of a guess is right
        return hmac.compare_digest(given, f"{self.user}:{self.password}".encode())


@dataclass
class Failures:
    """The failed attempts of one address."""

    count: int = 0
    blocked_until: float = 0.0


class FailedLogins:
    """Failed attempts by address, in bounded memory; thread-safe.

    `clock` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: TTLCache[str, Failures] = TTLCache(
            MAX_ADDRESSES, FORGOTTEN_AFTER, timer=clock
        )
        self._lock = threading.Lock()

    def seconds_to_wait(self, address: str) -> int:
        """Return the whole seconds until an address may try again; 0 if it may now."""
        with self._lock:
            failures = self._failures.get(network_of(address), Failures())
            return max(0, math.ceil(failures.blocked_until - self._clock()))

    def record(self, address: str) -> None:
        """Count an attempt as failed. One whose end is awaited counts until `forget`."""
        with self._lock:
            key = network_of(address)
            failures = self._failures.get(key, Failures())
            failures.count += 1
            extra = failures.count - FREE_FAILURES
            if extra >= 0:
                failures.blocked_until = self._clock() + min(MAX_SECONDS, 2.0 ** min(extra, 10))
            self._failures[key] = failures

    def forget(self, address: str) -> None:
        """Forget the failures of an address that has logged in."""
        with self._lock:
            self._failures.pop(network_of(address), None)


def network_of(address: str) -> str:
    """Return what attempts are counted by: an IPv4 address, or the /64 that one IPv6 host has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False))
