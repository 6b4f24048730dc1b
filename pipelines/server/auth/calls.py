"""Request data that the rules use, and the error that rejects a request."""

from collections.abc import Mapping
from dataclasses import dataclass


class Refused(Exception):
    """A request was rejected.

    Args:
        status: HTTP status.
        why: reason, one line.
        retry_after: s until a retry may succeed.
    """

    def __init__(self, status: int, why: str, *, retry_after: int | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.retry_after = retry_after


@dataclass(frozen=True)
class Call:
    """Request data that the rules use; all values of repeated headers.

    Attributes:
        method: HTTP method in upper case; GET for a websocket.
        headers: values by lower-case name.
        scheme: http or https.
        peer: address of the client.
        websocket: whether it is a websocket handshake.
    """

    method: str
    headers: Mapping[str, list[str]]
    scheme: str = "http"
    peer: str = ""
    websocket: bool = False

    def one(self, name: str) -> str | None:
        """Return the value of a header.

        Raises:
            Refused: It is repeated, which servers interpret differently.
        """
        values = self.headers.get(name, [])
        if len(values) > 1:
            raise Refused(400, f"the header {name} is repeated {len(values)} times")
        return values[0] if values else None
