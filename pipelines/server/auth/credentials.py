"""Check passwords and tokens of requests, with a limit on attempts.

Hashing a password takes 0.1 s and 32 MB. Hashes run in a small thread pool with a bounded queue,
separate from the threads that serve requests; sessions and tokens need no hash.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import os
import secrets
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from kinemill_dagster.pipelines.server.auth.calls import Refused
from kinemill_dagster.pipelines.server.auth.permissions import Permission
from kinemill_dagster.pipelines.server.auth.users import Identity, Users

PER_ADDRESS = 10
IN_TOTAL = 200  # wrong attempts within a window
WINDOW = 60.0  # s
_THREADS = max(1, min(4, (os.cpu_count() or 2) // 2))  # for hashing; half the cores stay free
_QUEUE = 16  # running and waiting hashes; about 2 s of work for one thread
_RETRY = 2  # s
_CACHE_SIZE = 256  # cached correct passwords
_WRONG = "this password or token is wrong"


class Credentials:
    """Checks the `Authorization` header of requests to one server.

    Args:
        users: who may log in.
        owner: name of the home's owner.
        token: token of the home; it has the owner's rights.
    """

    def __init__(self, users: Users, owner: str, token: str) -> None:
        self._users = users
        self._owner = owner
        self._token = token
        self._key = secrets.token_bytes(32)
        self._attempts = Attempts()
        self._pool = ThreadPoolExecutor(_THREADS, "password")
        self._hashing: dict[bytes, Future[Identity | None]] = {}
        self._right: dict[bytes, None] = {}

    async def check(self, peer: str, header: str) -> Identity:
        """Return the user that a header identifies.

        Raises:
            Refused: 401 if it is wrong, 429 after too many wrong ones, 503 if the queue is full.
        """
        kind, _, value = header.partition(" ")
        if kind.lower() == "basic" and (login := _decoded(value)):
            return await self._by_password(peer, *login)
        # A token is random and cheap to check: a correct one works even after too many wrong
        # attempts.
        if kind.lower() == "bearer" and (identity := self._by_token(value.strip())):
            return identity
        self._attempts.count(peer)
        raise Refused(401, _WRONG)

    def _by_token(self, token: str) -> Identity | None:
        if hmac.compare_digest(token.encode(), self._token.encode()):
            return Identity(self._owner, Permission.ADMINISTER, "token")
        return self._users.by_token(token)

    async def _by_password(self, peer: str, name: str, password: str) -> Identity:
        """Return the user of a Basic login; equal parallel logins share one hash."""
        self._attempts.check(peer)  # before the cache of correct ones, which would confirm guesses
        user = self._users.identity(name, "password")
        parts = f"{user.version if user else ''}:{name}:{password}"
        digest = hmac.digest(self._key, parts.encode(), "sha256")
        if user and digest in self._right:
            return user
        if digest in self._hashing:
            if identity := await _result(self._hashing[digest]):
                return identity
            self._attempts.count(peer)
            raise Refused(401, _WRONG)
        if len(self._hashing) >= _QUEUE:
            why = "too many passwords wait to be checked; try again"
            raise Refused(503, why, retry_after=_RETRY)
        attempt = self._attempts.count(peer)
        identity = await _result(self._submit(digest, name, password))
        if identity is None:
            raise Refused(401, _WRONG)
        self._attempts.take_back(attempt)
        while len(self._right) >= _CACHE_SIZE:
            self._right.pop(next(iter(self._right)))
        self._right[digest] = None
        return identity

    def _submit(self, digest: bytes, name: str, password: str) -> "Future[Identity | None]":
        future = self._pool.submit(self._users.by_password, name, password)
        self._hashing[digest] = future
        future.add_done_callback(lambda _: self._hashing.pop(digest, None))
        return future


async def _result(future: "Future[Identity | None]") -> Identity | None:
    # Shielded: a canceled request must not cancel the hash that other requests wait for.
    return await asyncio.shield(asyncio.wrap_future(future))


def _decoded(value: str) -> tuple[str, str] | None:
    """Return name and password of a Basic login; None if it cannot be read."""
    try:
        name, separator, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if separator else None


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
