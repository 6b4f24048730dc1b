"""A request as far as the rules depend on it, and what refuses one."""

from collections.abc import Mapping
from dataclasses import dataclass


class Refused(Exception):
    """A request that is not passed on.

    Args:
        status: of HTTP.
        why: for people, one line.
        retry_after: s after which the same request may succeed.
    """

    def __init__(self, status: int, why: str, *, retry_after: int | None = None) -> None:
        super().__init__(why)
        self.status, self.why, self.retry_after = status, why, retry_after


@dataclass(frozen=True)
class Call:
    """A request as far as the rules depend on it; of repeated headers all values.

    Attributes:
        method: of HTTP, in capitals; GET for a websocket.
        headers: by name in small letters.
        scheme: http or https.
        peer: address that it comes from.
        websocket: it wants to become one.
    """

    method: str
    headers: Mapping[str, list[str]]
    scheme: str = "http"
    peer: str = ""
    websocket: bool = False

    def one(self, name: str) -> str | None:
        """Return the value of a header.

        Raises:
            Refused: it is there twice, which two servers may read in two ways.
        """
        found = self.headers.get(name, [])
        if len(found) > 1:
            raise Refused(400, f"the header {name} is there {len(found)} times")
        return found[0] if found else None
