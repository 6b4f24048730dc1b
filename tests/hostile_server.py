"""An HTTP server on loopback that answers every request in one hostile or invalid way."""

import json
import socket
import threading
from contextlib import contextmanager

SUMS = "0" * 64
FILLER = b"x" * 2**20


def reply(body, *headers, status="200 OK"):
    """Return the bytes of a response; a `str` or `bytes` body is sent as it is."""
    if not isinstance(body, str | bytes):
        body = json.dumps(body)
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def version(**fields):
    return reply({"version": 1, "sums": SUMS, "provisional": ""} | fields)


def endless(connection, _path):
    """Send a body without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        connection.sendall(FILLER)


def endless_chunks(connection, _path):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"%x\r\n%s\r\n" % (len(FILLER), FILLER))


def endless_header(connection, _path):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(FILLER)


def _drip(connection, start):
    connection.sendall(start)
    while True:
        connection.sendall(b"1")
        connection.settimeout(0.02)
        try:
            if not connection.recv(1):
                return  # the client is gone
        except TimeoutError:
            continue


def slow_body(connection, _path):
    _drip(connection, b"HTTP/1.1 200 OK\r\n\r\n")


def slow_header(connection, _path):
    _drip(connection, b"HTTP/1.1 200 OK\r\nX: ")


def slow_chunk_size(connection, _path):
    _drip(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0")


def silence(connection, _path):
    connection.recv(1)  # until the client closes


def listed(lines, **files):
    """Answer with a version whose `sha256sums` are some lines, and with some files."""
    import hashlib

    content = lines if isinstance(lines, bytes) else lines.encode()
    digest = hashlib.sha256(content).hexdigest()

    def answer(connection, path):
        if path.endswith("/resolve"):
            connection.sendall(version(sums=digest))
        elif path.endswith("/sha256sums"):
            connection.sendall(reply(content))
        else:
            connection.sendall(reply(files.get(path.rpartition("/")[2], b"content")))

    return answer


PORTAL = "<html><body>Welcome to the captive portal</body></html>"
NESTED = "[" * 200_000
OF_CONTENT = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # of b"content"

ANSWERS = {
    # not JSON, or not an object
    "portal": reply(PORTAL, "Content-Type: text/html"),
    "empty": reply(""),
    "object": reply({}),
    "list": reply([]),
    "null": reply("null"),
    "number": reply("1"),
    "text": reply('"champion"'),
    "not UTF-8": reply(b"\xff\xfe\x00"),
    "nested": reply(NESTED),
    "nested objects": reply('{"a":' * 100_000),
    "long number": reply('{"version": ' + "9" * 10_000 + "}"),
    "compressed": reply(b"\x1f\x8b\x08\x00", "Content-Encoding: gzip"),
    # fields
    "version: text": version(version="1"),
    "version: path": version(version="../../x"),
    "version: bool": version(version=True),
    "version: zero": version(version=0),
    "version: negative": version(version=-1),
    "version: fraction": version(version=1.5),
    "version: huge": version(version=10**300),
    "version: NaN": reply(f'{{"version": NaN, "sums": "{SUMS}", "provisional": ""}}'),
    "version: null": version(version=None),
    "sums: path": version(sums="a/../../../x"),
    "sums: absolute": version(sums="/etc/passwd"),
    "sums: NUL": version(sums="a\0" + SUMS[2:]),
    "sums: number": version(sums=5),
    "sums: list": version(sums=[SUMS]),
    "sums: capitals": version(sums="A" * 64),
    "sums: short": version(sums="a" * 63),
    "sums: newline": version(sums=SUMS + "\n"),
    "sums: other digits": version(sums="\u0661" * 64),
    "provisional: number": version(provisional=1),
    "provisional: escape": version(provisional="\x1b[2J\x1b]0;owned\x07"),
    "provisional: long": version(provisional="x" * 100_000),
    # lists of files
    "sums differ": version(),
    "name: parent": listed(f"{OF_CONTENT}  ../x\n"),
    "name: dots": listed(f"{OF_CONTENT}  ..\n"),
    "name: dot": listed(f"{OF_CONTENT}  .\n"),
    "name: absolute": listed(f"{OF_CONTENT}  /tmp/x\n"),
    "name: folder": listed(f"{OF_CONTENT}  a/b\n"),
    "name: backslash": listed(f"{OF_CONTENT}  a\\b\n"),
    "name: NUL": listed(f"{OF_CONTENT}  a\0b\n"),
    "name: 300 letters": listed(f"{OF_CONTENT}  {'a' * 300}\n"),
    "name: hidden": listed(f"{OF_CONTENT}  .kinemill-pulled\n"),
    "name: the list": listed(f"{OF_CONTENT}  sha256sums\n"),
    "name: twice": listed(f"{OF_CONTENT}  a\n{OF_CONTENT}  a\n"),
    "name: link": listed(f"{OF_CONTENT}  ~root\n"),
    "list: empty": listed(""),
    "list: binary": listed(b"\xff\x00\xfe"),
    "list: page": listed(PORTAL),
    "list: long": listed("".join(f"{OF_CONTENT}  f{n}\n" for n in range(1001))),
    "list: short hash": listed("abc  step.onnx\n"),
    "file differs": listed(f"{SUMS}  step.onnx\n"),
    "file is no model": listed(f"{OF_CONTENT}  step.onnx\n"),
    # HTTP
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"",
    "bad status": b"HTTP/1.1 999999 \x1b[2J\r\n\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "length of a TB": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n{",
    "ended early": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "redirect to a file": reply("", "Location: file:///etc/passwd", status="302 Found"),
    "redirect to ftp": reply("", "Location: ftp://127.0.0.1:9/x", status="302 Found"),
    "redirect to nothing": reply("", "Location: http://[", status="302 Found"),
    "redirect to itself": reply("", "Location: /api/v1/models", status="302 Found"),
    "not modified": reply("", status="304 Not Modified"),
    "no content": reply("", status="204 No Content"),
    "forbidden": reply({"message": "no\x1b[2J\nentry" * 1000}, status="403 Forbidden"),
    "not found": reply({"message": ["a"]}, status="404 Not Found"),
    "not found: page": reply(PORTAL, status="404 Not Found"),
    "broken": reply("[", status="500 Internal Server Error"),
    # without end
    "endless": endless,
    "endless chunks": endless_chunks,
    "endless header": endless_header,
    "slow body": slow_body,
    "slow header": slow_header,
    "slow chunk size": slow_chunk_size,
    "silence": silence,
}


class HostileServer:
    """Answers each request with `answer`: bytes, or a function of connection and path.

    Attributes:
        url: its address.
        answer: may be changed at any time.
    """

    def __init__(self, listener, answer):
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.answer = answer
        self._listener = listener
        self.connections = []

    def run(self):
        """Accept connections until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                received = b""
                while b"\r\n\r\n" not in received:
                    part = connection.recv(65536)
                    if not part:
                        return
                    received += part
                if isinstance(self.answer, bytes):
                    connection.sendall(self.answer)
                else:
                    self.answer(connection, received.split()[1].decode())
        except OSError:
            pass  # the client is gone


@contextmanager
def hostile_server(answer=b""):
    """Run the server; no connection outlives the context."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HostileServer(listener, answer)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    for connection in server.connections:
        connection.close()
