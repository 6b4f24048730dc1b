"""Rate limit of wrong passwords and tokens: per address and in total."""

import ipaddress
import time
from collections import deque

from kinemill_dagster.pipelines.server.auth.calls import Refused

PER_ADDRESS = 10
IN_TOTAL = 200  # wrong attempts within a window
WINDOW = 60.0  # s


class Attempts:
    """Counts attempts in a sliding window, on the thread of the event loop alone.

    An attempt is counted before its check, so that parallel attempts cannot exceed the limit; a
    successful one is removed again. The total limit also bounds the memory.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[float, str]] = deque()

    def check(self, peer: str) -> None:
        """Check that an address has attempts left.

        Raises:
            Refused: The limit of this address, or of all addresses, is reached.
        """
        now = time.monotonic()
        network = _network(peer)
        while self._recent and now - self._recent[0][0] > WINDOW:
            self._recent.popleft()
        count_here = sum(recent == network for _, recent in self._recent)
        if count_here >= PER_ADDRESS or len(self._recent) >= IN_TOTAL:
            count = f"{PER_ADDRESS} wrong passwords or tokens from this address"
            if count_here < PER_ADDRESS:
                count = f"{IN_TOTAL} wrong passwords or tokens from all addresses"
            raise Refused(429, f"{count} within a minute; wait a minute", retry_after=int(WINDOW))

    def count(self, peer: str) -> tuple[float, str]:
        """Count one attempt of an address and return it, for `take_back`.

        Raises:
            Refused: As `check` does.
        """
        self.check(peer)
        attempt = (time.monotonic(), _network(peer))
        self._recent.append(attempt)
        return attempt

    def take_back(self, attempt: tuple[float, str]) -> None:
        """Remove an attempt that succeeded."""
        if attempt in self._recent:
            self._recent.remove(attempt)


def _network(peer: str) -> str:
    """Return the address range of one client: an IPv4 address, or an IPv6 /64 prefix."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
