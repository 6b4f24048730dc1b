"""Servers on loopback that do not answer as they should."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MODES = ("refused", "closed", "garbage", "silent")
_GARBAGE = b"HTTP/1.0 500 \x1b[31m\xff\r\n\r\n" * 400


@contextmanager
def lost_server(mode: str) -> Iterator[int]:
    """Yield a port on which connections are refused, closed, answered with garbage, or ignored."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if mode != "refused":
            server.listen(64)
            threading.Thread(target=_serve, args=(server, mode), daemon=True).start()
        yield server.getsockname()[1]
        if mode != "refused":
            server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, mode: str) -> None:
    """Accept connections until the server is shut down; those of `silent` stay open."""
    held = list[socket.socket]()
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            break
        if mode == "garbage":
            connection.sendall(_GARBAGE)
        if mode == "silent":
            held.append(connection)
        else:
            connection.close()
    for connection in held:
        connection.close()
