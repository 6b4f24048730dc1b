"""Messages of a websocket that carry a payload."""

import json
import random
from contextlib import suppress
from dataclasses import replace

from benchmarks._guarded import GuardedServers
from benchmarks._payloads import Raw

_SECONDS = 2.0  # for an answer to a message


def as_message(request: Raw, random_: random.Random) -> Raw:
    """Return a request as a message of a websocket, varied."""
    text, harmless = request.body.decode(), '{"query": "{ version }"}'
    forms = (
        f'{{"type": "start", "id": "1", "payload": {text}}}',
        f'{{"type": "start", "id": "1", "payload": {harmless}, "payload": {text}}}',
        f'{{"type": "start", "id": "1", "payload": {text}, "payload": {harmless}}}',
        f'{{"type": "subscribe", "id": "1", "payload": {text}}}',
        f'{{"type": "stop", "type": "start", "id": "1", "payload": {text}}}',
        f'[{{"type": "start", "id": "1", "payload": {text}}}]',
        f'{{"type": "start", "id": "1", "payload": {json.dumps(text)}}}',
        f'{{"type": "start", "id": "1", "payload": {{"query": "query Q {{ version }}",'
        f' "operation_name": "M", "extensions": {text}}}}}',
    )
    body = random_.choice(forms).encode()
    return replace(request, method="GET", headers=(), body=body, tricks=("websocket",))


def send_message(servers: GuardedServers, role: str, request: Raw) -> int:
    """Open a websocket, send a message; return 101, or 0 where the server closes it."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    port = servers.ports["dagster"]
    headers = dict(servers.bearer(role))
    with suppress(WebSocketException, OSError, TimeoutError):
        url = f"ws://127.0.0.1:{port}{request.target}"
        origin = f"http://127.0.0.1:{port}"
        with connect(
            url,
            origin=origin,  # pyright: ignore[reportArgumentType]
            subprotocols=["graphql-ws"],  # pyright: ignore[reportArgumentType]
            additional_headers=headers,
            proxy=None,
            open_timeout=60,
        ) as connection:
            connection.send('{"type": "connection_init"}')
            connection.recv(timeout=_SECONDS)
            connection.send(request.body.decode())
            connection.recv(timeout=_SECONDS)
            return 101
    return 0
