"""HTTP requests whose responses are limited in size and time, with the standard library alone.

A server may be hostile, or a captive portal may respond in its place. Whatever it sends, the result
is a response within the limits or `Unreachable`, with one line of text.
"""

import json
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection

from kinemill.errors import BadInput, Unreachable

DOCUMENT = 8 * 2**20  # largest JSON document, bytes
_IDLE = 30.0  # s without a byte, also to connect
_LONGEST_MESSAGE = 500  # characters of a server's text in an error
_CHUNK = 2**16
_TOKEN = "set KINEMILL_TOKEN to a valid token"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Reply:
    """The response to a request.

    Attributes:
        status: code, such as 200 or 404.
    """

    def __init__(self, url: str, response: HTTPResponse, deadline: "_Deadline") -> None:
        self.status = response.status
        self._url = url
        self._response = response
        self._deadline = deadline

    def chunks(self, most: int) -> Iterator[bytes]:
        """Yield the body in parts.

        Raises:
            Unreachable: It has more than `most` bytes, ends early, or takes too long.
        """
        size = self._response.length or 0
        received = 0
        while max(size, received) <= most:
            with _as_unreachable(self._url, self._deadline):
                chunk = self._response.read1(_CHUNK)
            if not chunk:
                break
            received += len(chunk)
            yield chunk
        else:
            raise Unreachable(self._url, f"sent more than {most} bytes")
        if self._response.length:
            raise Unreachable(self._url, f"ended its response after {received} bytes")

    def document(self) -> object:
        """Return the JSON document of the body.

        Raises:
            Unreachable: It is too large or slow, or is not JSON.
        """
        content = b"".join(self.chunks(DOCUMENT))
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            problem = f"is not a kinemill server: it responded {self.status} without valid JSON"
            raise Unreachable(self._url, problem) from error

    def message(self) -> str:
        """Return the message of an error response, or "" without one."""
        try:
            document = self.document()
        except Unreachable:
            return ""
        text = document.get("message") if isinstance(document, dict) else None
        return printable(text) if isinstance(text, str) else ""


@contextmanager
def send(url: str, *, token: str | None, seconds: float) -> Generator[Reply]:
    """Send a GET request; yield the response.

    Args:
        url: http or https. A loopback address uses no proxy.
        token: bearer token, not sent along with redirects.
        seconds: time limit from the request to the end of the response.

    Raises:
        BadInput: The token cannot be sent.
        Unreachable: No server responds in time, or the response is not HTTP.
    """
    if token and not (token.isascii() and token.isprintable()):
        raise BadInput("the token", "has characters that a header cannot have", fix=_TOKEN)
    deadline = _Deadline(seconds)
    try:
        with _as_unreachable(url, deadline):
            request = urllib.request.Request(url, headers={"Accept": "application/json"})
            if token:
                request.add_unredirected_header("Authorization", f"Bearer {token}")
            response = _response(request, deadline)
        with closing(response):
            yield Reply(url, response, deadline)
    finally:
        deadline.close()


def printable(text: str) -> str:
    """Return the beginning of a server's text on one line without control characters."""
    return "".join(each if each.isprintable() else " " for each in text[:_LONGEST_MESSAGE])


def _response(request: urllib.request.Request, deadline: "_Deadline") -> HTTPResponse:
    """Return the response, also one with an error code."""

    class Connection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            deadline.add(self.sock)

    class SecureConnection(HTTPSConnection, Connection):
        """HTTPSConnection.connect calls Connection.connect before it starts TLS."""

    class Handler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> HTTPResponse:
            return self.do_open(Connection, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> HTTPResponse:
            return self.do_open(SecureConnection, req)

    is_loopback = urllib.parse.urlsplit(request.full_url).hostname in _LOOPBACK
    opener = urllib.request.OpenerDirector()  # no handlers of ftp:, file: and data:
    for handler in (
        urllib.request.ProxyHandler({} if is_loopback else None),
        urllib.request.UnknownHandler(),
        Handler(),
        SecureHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    try:
        return opener.open(request, timeout=_IDLE)
    except urllib.error.HTTPError as error:
        with closing(error):
            raise Unreachable(request.full_url, f"responded with {error.code}") from error


class _Redirects(urllib.request.HTTPErrorProcessor):
    """Follow redirects, and return every other response, also one with an error code."""

    def http_response(
        self, request: urllib.request.Request, response: HTTPResponse
    ) -> HTTPResponse:
        is_redirect = 300 <= response.status < 400
        return super().http_response(request, response) if is_redirect else response

    https_response = http_response


class _Deadline:
    """Time limit of a request: shuts its connections down, since timeouts are per byte."""

    def __init__(self, seconds: float) -> None:
        self._sockets = list[socket.socket]()
        self._end = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._shut_down)
        self.seconds = seconds
        self._timer.daemon = True
        self._timer.start()

    @property
    def has_passed(self) -> bool:
        return time.monotonic() >= self._end

    def add(self, connection: socket.socket) -> None:
        # A duplicate: TLS and `Connection: close` take the descriptor away from the connection.
        self._sockets.append(connection.dup())
        if self.has_passed:
            self._shut_down()

    def _shut_down(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._timer.cancel()
        for connection in self._sockets:
            connection.close()


@contextmanager
def _as_unreachable(url: str, deadline: _Deadline) -> Generator[None]:
    """Convert all errors of a connection to `Unreachable`."""
    try:
        yield
    # ValueError: an address or a header that cannot be parsed.
    except (OSError, HTTPException, ValueError) as error:
        if not deadline.has_passed:
            why = getattr(error, "reason", None) or error or type(error).__name__
            raise Unreachable(url, f"does not respond: {printable(str(why))}") from error
        cause = error
    else:
        if not deadline.has_passed:
            return
        cause = None
    raise Unreachable(url, f"did not complete its response in {deadline.seconds:g} s") from cause
