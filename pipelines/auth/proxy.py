"""A proxy that logs people in (OIDC): it says who asks in a header, and is believed alone.

What it says counts if the request comes from one of its addresses and brings the secret that both
know (`KINEMILL_PROXY_SECRET`) as `X-Kinemill-Proxy`: an address alone may be shared with others, as
that of loopback is, and a header alone can be sent by anybody.
"""

import hmac
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from kinemill.errors import BadInput
from pipelines.auth.calls import Call, Refused

SECRET = "KINEMILL_PROXY_SECRET"
SECRET_HEADER = "x-kinemill-proxy"
_USER, _GROUPS = "KINEMILL_PROXY_USER", "KINEMILL_PROXY_GROUPS"  # names of its headers
_SHORTEST = 16  # characters of the secret
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Proxy:
    """Whom to believe, and which headers.

    Attributes:
        networks: addresses that it asks from.
        secret: that it brings.
        user: header with the name of who asks, in small letters.
        groups: header with their groups, divided by commas.
    """

    networks: tuple[_Network, ...]
    secret: str = field(repr=False)
    user: str = "x-forwarded-user"
    groups: str = "x-forwarded-groups"

    def who(self, call: Call) -> tuple[str, list[str]] | None:
        """Return the name and groups of who asks; None if the proxy says nothing of it.

        Raises:
            Refused: somebody else pretends to be the proxy.
        """
        given = call.one(SECRET_HEADER)
        if given is None:
            return None
        same = hmac.compare_digest(given.encode(), self.secret.encode())
        if not (same and self._is_at(call.peer)):
            raise Refused(403, "this is not the proxy that logs people in")
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
    """Return the proxy that asks from some addresses, such as `10.0.0.5` or `10.0.0.0/24`.

    Raises:
        BadInput: of an address, or of the secret in the environment.
    """
    networks = tuple(_network(address) for address in addresses)
    if not networks:
        return None
    secret = os.environ.get(SECRET, "")
    if len(secret) < _SHORTEST or not secret.isascii():
        expected = f"at least {_SHORTEST} characters of ASCII, which the proxy sends"
        fix = 'set it: python -c "import secrets; print(secrets.token_urlsafe())"'
        raise BadInput(SECRET, "is no secret to know a proxy by", expected=expected, fix=fix)
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
