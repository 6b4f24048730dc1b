"""Time limits and a maximum number of connections, which uvicorn does not have.

A client that sends half a request occupies a connection. Without a limit, 1,500 of them leave no
file descriptors for others.
"""

import asyncio
import logging
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10.0  # s for the headers of a request
BODY = 30.0  # s without a byte of a body
MOST = 512  # connections; a process may have 1,024 open files by default
_log = logging.getLogger("kinemill.guard")


class LimitedProtocol(H11Protocol):
    """A connection that is closed when its client is slow, or when there are too many."""

    _timer: asyncio.TimerHandle | None = None
    _phase: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request; with more than `MOST` connections the oldest idle one is closed."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._watch()
        if len(self.connections) <= MOST:
            return
        waiting = (
            connection for connection in self.connections if isinstance(connection, LimitedProtocol)
        )
        slow = [
            connection
            for connection in waiting
            if connection.has_no_request and connection is not self
        ]
        oldest = min(slow, key=lambda connection: connection.since, default=self)
        oldest._close(f"more than {MOST} connections")

    @property
    def has_no_request(self) -> bool:
        """Return whether no complete request has arrived, so that closing loses no response."""
        return self._phase == "head" and self._timer is not None

    @property
    def since(self) -> float:
        """Return when the current phase times out, which orders connections by age."""
        return self._timer.when() if self._timer else 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Start to wait for the next request."""
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Stop the timeouts: the websocket sends its own pings."""
        super().handle_websocket_upgrade(event)
        self._stop()

    def _watch(self) -> None:
        """Set the timeout of the current phase; bytes extend that of a body, not of headers."""
        if self.transport.get_protocol() is not self or self.transport.is_closing():
            self._stop()
            return
        state = self.conn.their_state
        phase = "head" if state is h11.IDLE else "body" if state is h11.SEND_BODY else None
        if phase == "head" == self._phase:
            return
        self._stop()
        self._phase = phase
        if phase:
            limit = HEAD if phase == "head" else BODY
            self._timer = self.loop.call_later(limit, self._expire, phase, limit)

    def _expire(self, phase: str, limit: float) -> None:
        if phase == "body" and self.flow.read_paused:  # the server reads slowly, not the client
            self._watch()
            return
        self._close(f"no complete {phase} of a request within {limit:g} s")

    def _close(self, why: str) -> None:
        self._stop()
        peer = self.client[0] if self.client else "?"
        _log.warning("closed a connection from %s: %s", peer, why)
        self.transport.abort()

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._phase = None
