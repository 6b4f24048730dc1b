"""Trusted proxy that logs users in (OIDC) and sends the user name in a header.

The header is trusted if the request comes from one of the proxy's addresses and has the shared
secret (`KINEMILL_PROXY_SECRET`) as `X-Kinemill-Proxy`. An address alone may be shared with other
programs, such as loopback, and a header alone can be forged.
"""

import hmac
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.auth.calls import Call, Refused

SECRET = "KINEMILL_PROXY_SECRET"
SECRET_HEADER = "x-kinemill-proxy"
_USER = "KINEMILL_PROXY_USER"
_GROUPS = "KINEMILL_PROXY_GROUPS"  # names of its headers
_SHORTEST = 16  # characters of the secret
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Proxy:
    """A trusted proxy and its headers.

    Attributes:
        networks: its addresses.
        secret: the shared secret.
        user: lower-case name of the header with the user name.
        groups: header with the user's groups, separated by commas.
    """

    networks: tuple[_Network, ...]
    secret: str = field(repr=False)
    user: str = "x-forwarded-user"
    groups: str = "x-forwarded-groups"

    def who(self, call: Call) -> tuple[str, list[str]] | None:
        """Return the user name and groups; None if the header is missing.

        Raises:
            Refused: The request does not come from the proxy.
        """
        secret = call.one(SECRET_HEADER)
        if secret is None:
            return None
        same = hmac.compare_digest(secret.encode(), self.secret.encode())
        if not (same and self._is_at(call.peer)):
            raise Refused(403, "only the proxy may name the user")
        name = (call.one(self.user) or "").strip()
        groups = [group.strip() for group in (call.one(self.groups) or "").split(",")]
        return (name, [group for group in groups if group]) if name else None

    def _is_at(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)  # of a socket that takes both
        return any((mapped or address) in network for network in self.networks)


def proxy_at(addresses: Iterable[str]) -> Proxy | None:
    """Return the proxy at some addresses, such as `10.0.0.5` or `10.0.0.0/24`.

    Raises:
        BadInput: An address or the secret in the environment is invalid.
    """
    networks = tuple(_network(address) for address in addresses)
    if not networks:
        return None
    secret = os.environ.get(SECRET, "")
    if len(secret) < _SHORTEST or not secret.isascii():
        expected = f"at least {_SHORTEST} characters of ASCII, which the proxy sends"
        fix = 'set it: python -c "import secrets; print(secrets.token_urlsafe())"'
        raise BadInput(SECRET, "is not a valid secret of a proxy", expected=expected, fix=fix)
    named = {
        name: os.environ[variable].lower()
        for name, variable in (("user", _USER), ("groups", _GROUPS))
        if os.environ.get(variable)
    }
    return Proxy(networks, secret, **named)


def _network(address: str) -> _Network:
    try:
        return ipaddress.ip_network(address)
    except ValueError as error:
        raise BadInput(
            f"--proxy {address}", str(error), expected="10.0.0.5 or 10.0.0.0/24"
        ) from error
