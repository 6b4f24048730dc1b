"""Variations of requests that two programs could interpret differently."""

import gzip
import json
import random
import urllib.parse
from contextlib import suppress
from dataclasses import replace
from typing import Any

from benchmarks._guarded import GuardedServers
from benchmarks._payloads import JSON, Payload, Raw


def vary(payload: Payload, number: int, random_: random.Random, carrier: bytes) -> Raw:
    """Return a variation of a request.

    Args:
        payload: that the sender may not ask for.
        number: that makes names unique.
        random_: draws the variations.
        carrier: body of a request that the same sender may make, and that changes nothing.
    """
    request = payload.plain(number)
    mutations = [*_ANY, *(_QUERY if payload.query else _REST)]
    selected = random_.sample(mutations, random_.choice([1, 1, 2, 2, 3]))
    for trick in sorted(selected, key=lambda one: one is _smuggled):  # which fixes the length
        changed = trick(request, random_, carrier)
        name = str(getattr(trick, "__name__", "")).strip("_")
        request = replace(changed, tricks=(*request.tricks, name))
    return request


def _parsed(request: Raw) -> dict[str, Any]:
    try:
        parsed = json.loads(request.body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _kind(request: Raw, value: str | None) -> Raw:
    headers = [item for item in request.headers if item[0].lower() != "content-type"]
    return replace(
        request, headers=(*headers, *([] if value is None else [("Content-Type", value)]))
    )


def _other_kind(request: Raw, random_: random.Random, _: bytes) -> Raw:
    kinds = (
        "Application/JSON",
        "APPLICATION/JSON; charset=UTF-8",
        "text/plain",
        "text/plain; application/json",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json, text/plain",
        "application/json;charset=utf-16",
        "application/vnd.api+json",
        "",
        None,
    )
    return _kind(request, random_.choice(kinds))


def _two_kinds(request: Raw, random_: random.Random, _: bytes) -> Raw:
    more = [("content-type", "text/plain"), JSON]
    random_.shuffle(more)
    return replace(request, headers=(*request.headers, *more))


def _forged(request: Raw, random_: random.Random, _: bytes) -> Raw:
    headers = (
        ("X-Kinemill-User", "admin"),
        ("X-Kinemill-May", "administer"),
        ("x-kinemill-may", "ADMINISTER"),
        ("X-Forwarded-User", "admin"),
        ("X-HTTP-Method-Override", random_.choice(["GET", "POST", "DELETE", "PUT"])),
        ("X-Method-Override", "POST"),
        ("X-Original-URL", "/graphql"),
        ("X-MLFLOW-WORKSPACE", "default"),
        ("Cookie", "kinemill-web=admin.99999999999.00"),
        ("Expect", "100-continue"),
        ("Content-Encoding", "gzip"),
        ("Content-Location", "/graphql"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
    )
    return replace(request, headers=(*request.headers, *random_.sample(headers, 3)))


def _method(request: Raw, random_: random.Random, _: bytes) -> Raw:
    methods = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "POST ", "PROPFIND")
    return replace(request, method=random_.choice(methods))


def _path(request: Raw, random_: random.Random, _: bytes) -> Raw:
    path, mark, query = request.target.partition("?")
    last = path.rsplit("/", 1)[-1]
    forms = (
        f"/{path}",
        f"{path}/",
        f"/.{path}",
        f"/x/..{path}",
        f"/static-files/..{path}",
        f"/kinemill/files/..%2f..{path}",
        path.replace("/", "%2F"),
        "/" + path[1:].replace("/", "//"),
        path.replace(last, "".join(f"%{ord(one):02x}" for one in last)),
        path.replace(last, last.upper()),
        f"{path};a=b",
        f"{path}%00",
        f"{path}%20",
        f"{path}#/search",
        f"http://127.0.0.1{path}",
        path.replace("/", "\\"),
        path.replace("api/2.0", "api/2.0/preview"),
        path.replace("/api/", "/ajax-api/"),
        path.replace("/api/2.0/mlflow", "/api/3.0/mlflow"),
        path.replace("/mlflow/", "/mlflow/runs/search/../../"),
        path.replace("artifacts/", "artifacts/%252e%252e/", 1),
    )
    return replace(request, target=random_.choice(forms) + mark + query)


def _framed(request: Raw, random_: random.Random, _: bytes) -> Raw:
    return replace(request, framing=random_.choice(["chunked", "both", "twice"]))


def _smuggled(request: Raw, random_: random.Random, carrier: bytes) -> Raw:
    """Put the whole request behind another one, into what may be read as its body."""
    inner = request.encoded(80, [item for item in request.headers if item[0] == "Authorization"])
    outer = Raw(
        request.server, random_.choice(["GET", "POST"]), "/graphql", (JSON,), carrier + inner
    )
    length = ("Content-Length", str(len(carrier)))
    return replace(outer, payload=request.payload, headers=(JSON, length), number=request.number)


def _encoded(request: Raw, random_: random.Random, _: bytes) -> Raw:
    text = request.body.decode("latin-1")
    forms = (
        text.encode("utf-16"),
        b"\xef\xbb\xbf" + request.body,
        request.body + b" {}",
        request.body + b"\x00",
        gzip.compress(request.body),
        json.dumps(text).encode(),
        b"[" + request.body + b"]",
        text.replace('"', "'").encode(),
        "".join(f"\\u{ord(one):04x}" if one.isalpha() else one for one in text).encode(),
    )
    return replace(request, body=random_.choice(forms))


def _twice(request: Raw, random_: random.Random, carrier: bytes) -> Raw:
    """Write each key twice: with the payload's value and with a permitted one."""
    own, other = _parsed(request), json.loads(carrier)
    pairs = [*own.items(), *other.items()]
    random_.shuffle(pairs)
    text = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in pairs)
    return replace(request, body=f"{{{text}}}".encode())


def _in_query(request: Raw, random_: random.Random, carrier: bytes) -> Raw:
    """Put the payload into the query string, and a permitted request into the body."""
    own = _parsed(request)
    query = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in own.items()
    }
    mark = "&" if "?" in request.target else "?"
    kinds = ("Application/JSON", "application/json", "text/plain", "application/JSON", "")
    moved = replace(
        request, target=f"{request.target}{mark}{urllib.parse.urlencode(query)}", body=carrier
    )
    return _kind(moved, random_.choice(kinds))


def _as_form(request: Raw, _: random.Random, _carrier: bytes) -> Raw:
    form = urllib.parse.urlencode({k: str(v) for k, v in _parsed(request).items()}).encode()
    return _kind(replace(request, body=form or b"a=b"), "application/x-www-form-urlencoded")


def _named(request: Raw, random_: random.Random, _: bytes) -> Raw:
    """Put a harmless operation beside the payload, and name one of them in some way."""
    own = _parsed(request)
    text = str(own.get("query", "")).replace("mutation", "mutation M", 1)
    harmless = "query Q { version }"
    operations = [text, harmless]
    random_.shuffle(operations)
    name = random_.choice(["Q", "M", "", None, ["M"], "m", 1])
    body = {**own, "query": " ".join(operations), "operationName": name, "operation_name": "M"}
    return replace(request, body=json.dumps(body).encode())


def _fragment(request: Raw, random_: random.Random, _: bytes) -> Raw:
    """Hide the root fields in fragments."""
    own = _parsed(request)
    head, mark, rest = str(own.get("query", "")).partition("{")
    if not mark:
        return request
    inner = rest.rstrip().removesuffix("}")
    forms = (
        f"{head}{{ ... on Mutation {{ {inner} }} }}",
        f"{head}{{ ...A }} fragment A on Mutation {{ ...B }} fragment B on Mutation {{ {inner} }}",
        f"{head}{{ a: __typename ... {{ {inner} }} }}",
        f"{head}{{ ... @include(if: true) {{ {inner} }} }}",
        f"# query\n{head.replace('mutation', 'mutation,,,')}{{ {inner} }}",
        f"\ufeff{head}{{ {inner} }} query Q {{ version }}",
    )
    return replace(request, body=json.dumps({**own, "query": random_.choice(forms)}).encode())


def _wrapped(request: Raw, random_: random.Random, carrier: bytes) -> Raw:
    """Send a batch, or the variables as text, or both names of the query."""
    own = _parsed(request)
    forms: tuple[Any, ...] = (
        [own],
        [json.loads(carrier), own],
        {**own, "variables": json.dumps(own.get("variables"))},
        {"Query": own.get("query"), **json.loads(carrier)},
        {**json.loads(carrier), "extensions": own, "id": "x", "doc_id": own.get("query")},
        {"payload": own, "type": "start"},
    )
    return replace(request, body=json.dumps(random_.choice(forms)).encode())


def _camel(request: Raw, random_: random.Random, carrier: bytes) -> Raw:
    """Spell keys as protocol buffers also read them, beside permitted ones."""
    own = _parsed(request)
    renamed: dict[str, Any] = {}
    for name, value in own.items():
        first, *rest = name.split("_")
        other = first + "".join(part.title() for part in rest)
        renamed[other if random_.random() < 0.7 else name] = value
    return replace(request, body=json.dumps({**json.loads(carrier), **renamed}).encode())


def _other_id(request: Raw, random_: random.Random, carrier: bytes) -> Raw:
    """Name the payload's run in one key and a permitted one in another."""
    own, other = _parsed(request), json.loads(carrier)
    keys = ["run_id", "run_uuid"]
    random_.shuffle(keys)
    body = {**own, keys[0]: own.get("run_id"), keys[1]: other.get("run_id")}
    return replace(request, body=json.dumps(body).encode())


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


_ANY = [
    _other_kind,
    _two_kinds,
    _forged,
    _method,
    _path,
    _framed,
    _smuggled,
    _encoded,
    _twice,
    _in_query,
    _as_form,
]
_QUERY = [_named, _fragment, _wrapped, _in_query, _named]
_REST = [_camel, _other_id, _path]
