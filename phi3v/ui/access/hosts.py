"""Names and addresses in a request's headers: Host, Origin, and what a trusted proxy forwards.

A web page of another site can make its visitors' browsers call this app. Their requests carry that
site's Origin, or, after its name was pointed at this machine (DNS rebinding), its name as Host.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

# Hosts of the links that --share makes.
SHARE_SUFFIX = ".gradio.live"
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Hosts:
    """The names that are this app's own, and the proxies whose headers are believed.

    is_local: only names of this machine, `names` and, with is_shared, those of public links are
    answered. public_host is the name that a hosted Space is called by, "" elsewhere.
    """

    is_local: bool
    is_shared: bool = False
    names: tuple[str, ...] = ()
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    public_host: str = ""

    def knows_host(self, scope: Scope) -> bool:
        """True if a request calls the app by one of its names."""
        if not self.is_local:
            return True
        name = name_of(Headers(scope=scope).get("host", ""))
        is_link = self.is_shared and name.endswith(SHARE_SUFFIX)
        return is_link or name in self.names or is_local_name(name)

    def knows_origin(self, scope: Scope) -> bool:
        """True if a request comes from no web page, or from one of this app's own.

        That is one whose Origin equals Host, or the host that a trusted proxy forwards.
        """
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        if not origins:
            return True
        own = {headers.get("host", ""), self.public_host}
        if self.is_trusted(peer_of(scope)):
            own.add(headers.get("x-forwarded-host", "").partition(",")[0])
        return all(is_same_host(origin, own) for origin in origins)

    def client_of(self, scope: Scope) -> str:
        """Return the address that a request comes from; of trusted proxies, what they forward."""
        client = peer_of(scope)
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
        for address in reversed(forwarded.split(",")):
            if not address.strip() or not self.is_trusted(client):
                break
            client = name_of(address.strip()) or address.strip()
        return client

    def is_trusted(self, address: str) -> bool:
        """True for the address of a trusted proxy."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self.proxies)


def peer_of(scope: Scope) -> str:
    """Return the address of the other end of a request's connection, "" if it has none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def name_of(host: str) -> str:
    """Return a Host header's name in small letters, without its port; "" if it is malformed."""
    if ":" in host and not host.startswith("[") and host.count(":") > 1:
        return host.lower()  # an IPv6 address without brackets
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_local_name(name: str) -> bool:
    """True for names that browsers resolve to this machine without asking anyone."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_same_host(origin: str, hosts: Sequence[str] | set[str]) -> bool:
    """True if an Origin names one of the hosts, default ports left out or written."""
    try:
        found = urlsplit(origin)
        port = found.port or DEFAULT_PORTS.get(found.scheme)
        if found.scheme not in DEFAULT_PORTS or not found.hostname:
            return False
        for host in filter(None, (host.strip() for host in hosts)):
            own = urlsplit(f"//{host}")
            own_port = own.port or DEFAULT_PORTS[found.scheme]
            if (own.hostname, own_port) == (found.hostname, port):
                return True
    except ValueError:
        pass
    return False


def is_loopback_address(host: str) -> bool:
    """True if an address to listen on is reached from this machine alone."""
    return is_local_name(name_of(host))
