"""Honest requests, and variations of them that two programs could read in two ways."""

import gzip
import json
import random
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks._guarded import LAUNCH, MINE, OTHER, Place, selector

_API, _AJAX = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts"
JSON = ("Content-Type", "application/json")


@dataclass(frozen=True)
class Raw:
    """A request as bytes are made of it.

    Attributes:
        server: `dagster` or `mlflow`.
        method: of HTTP.
        target: path and query string, encoded.
        headers: in their order, without the host and the length.
        body: bytes.
        framing: `length`, `chunked`, `both` or `twice`.
        payload: what it asks for, in the plain form.
        tricks: names of the variations.
        number: that makes names in it unique.
    """

    server: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = (JSON,)
    body: bytes = b""
    framing: str = "length"
    payload: str = ""
    tricks: tuple[str, ...] = ()
    number: int = 0

    def again(self, number: int) -> "Raw":
        """Return the same request with other names, so that it changes something once more."""
        old, new = str(self.number), str(number)
        body = self.body.replace(old.encode(), new.encode())
        return replace(self, target=self.target.replace(old, new), body=body, number=number)

    def encoded(self, port: int, bearer: list[tuple[str, str]]) -> bytes:
        """Return the bytes that are sent, over a connection for this request alone."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        lines += [f"{name}: {value}" for name, value in (*bearer, *self.headers)]
        body = self.body
        if self.framing in {"chunked", "both"}:
            half = len(body) // 2
            pieces = [one for one in (body[:half], body[half:]) if one]
            body = b"".join(b"%x;a=b\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"
            lines.append("Transfer-Encoding: chunked")
        if self.framing != "chunked" and (self.body or self.method not in {"GET", "HEAD"}):
            lines.append(f"Content-Length: {len(self.body)}")
        if self.framing == "twice":
            lines.append("Content-Length: 2")
        lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Payload:
    """Something that a request asks for, in its plain form.

    Attributes:
        name: for people.
        server: that it is sent to.
        make: returns method, path and body; takes a number that makes names unique.
        query: it is GraphQL: the body is a query with variables.
    """

    name: str
    server: str
    make: Callable[[int], tuple[str, str, Any]] = field(repr=False)
    query: bool = False

    def plain(self, number: int) -> Raw:
        """Return the plain form."""
        method, path, body = self.make(number)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = () if isinstance(body, bytes) else (JSON,)
        return Raw(self.server, method, path, headers, content, payload=self.name, number=number)


def payloads(place: Place) -> list[Payload]:
    """Return what requests ask for: changes of Dagster and of MLflow."""
    return [*_mutations(place), *_writes(place)]


def _mutations(place: Place) -> list[Payload]:
    run = {task: place.known[f"run_{task}"] for task in (MINE, OTHER)}
    gate = {"resources": {MINE: {"config": {"promote": {"margin": -1.0}}}}}
    where = {"repositoryLocationName": "kinemill", "repositoryName": "__repository__"}
    sensor = json.dumps({**where, "sensorName": f"{MINE}_new_logs"})
    graphql: dict[str, Callable[[int], tuple[str, dict[str, Any]]]] = {
        "limit": lambda n: (
            f'mutation {{ setConcurrencyLimit(concurrencyKey: "k{n}", limit: {n % 9}) }}',
            {},
        ),
        "pause": lambda n: (
            f"mutation {{ setAutoMaterializePaused(paused: {'true' if n % 2 else 'false'}) }}",
            {},
        ),
        "seen": lambda _: ("mutation { setNuxSeen }", {}),
        "cursor": lambda n: (
            "mutation($s: SensorSelector!) { setSensorCursor(sensorSelector: $s, cursor:"
            f' "{n}") {{ __typename }} }}',
            {"s": json.loads(sensor)},
        ),
        "report": lambda n: (
            "mutation { reportRunlessAssetEvents(eventParams: {eventType:"
            f' ASSET_MATERIALIZATION, assetKey: {{path: ["x{n}"]}}}}) {{ __typename }} }}',
            {},
        ),
        "launch mine": lambda _: (LAUNCH, {"p": {"selector": selector(MINE), "mode": "default"}}),
        "launch other": lambda _: (LAUNCH, {"p": {"selector": selector(OTHER), "mode": "default"}}),
        "launch gate": lambda _: (
            LAUNCH,
            {"p": {"selector": selector(MINE), "mode": "default", "runConfigData": gate}},
        ),
        "relaunch other": lambda _: (
            "mutation($r: ReexecutionParams) { launchRunReexecution(reexecutionParams: $r)"
            " { __typename } }",
            {"r": {"parentRunId": run[OTHER], "strategy": "ALL_STEPS"}},
        ),
        "terminate other": lambda _: (
            f'mutation {{ terminateRun(runId: "{run[OTHER]}") {{ __typename }} }}',
            {},
        ),
        "delete": lambda _: (
            f'mutation {{ deleteRun(runId: "{run[OTHER]}") {{ __typename }} }}',
            {},
        ),
    }
    found = [_graphql(name, make) for name, make in graphql.items()]
    report = Payload(
        "report asset", "dagster", lambda n: ("POST", f"/report_asset_materialization/r{n}", {})
    )
    return [*found, report]


def _graphql(name: str, make: Callable[[int], tuple[str, dict[str, Any]]]) -> Payload:
    def body(number: int) -> tuple[str, str, Any]:
        query, variables = make(number)
        return "POST", "/graphql", {"query": query, "variables": variables}

    return Payload(name, "dagster", body, query=True)


def _writes(place: Place) -> list[Payload]:
    known = place.known
    mill, olga, notes = known["mill"], known["of_olga"], known["notes"]
    posts: dict[str, Callable[[int], dict[str, Any]]] = {
        "experiments/create": lambda n: {"name": f"e{n}"},
        "experiments/update": lambda n: {"experiment_id": notes, "new_name": f"notes{n}"},
        "experiments/set-experiment-tag": lambda n: {
            "experiment_id": known["mill_experiment"],
            "key": "k",
            "value": str(n),
        },
        "runs/create": lambda _: {"experiment_id": known["mill_experiment"]},
        "runs/log-metric": lambda n: {
            "run_id": mill,
            "run_uuid": mill,
            "key": "m",
            "value": n,
            "timestamp": n,
        },
        "runs/set-tag": lambda n: {"run_id": olga, "key": "t", "value": str(n)},
        "runs/update": lambda n: {"run_id": mill, "status": "RUNNING", "run_name": f"r{n}"},
        "runs/log-batch": lambda n: {"run_id": olga, "params": [{"key": f"p{n}", "value": "1"}]},
        "registered-models/alias": lambda n: {
            "name": MINE,
            "alias": "champion" if n % 2 else f"a{n}",
            "version": str(1 + n % 2),
        },
        "registered-models/create": lambda n: {"name": f"m{n}"},
        "model-versions/set-tag": lambda n: {
            "name": MINE,
            "version": "1",
            "key": "kinemill.sums",
            "value": str(n),
        },
        "model-versions/create": lambda _: {
            "name": MINE,
            "source": f"runs:/{mill}/bundle",
            "run_id": mill,
        },
        "logged-models": lambda n: {"experiment_id": notes, "name": f"l{n}"},
    }
    made = [
        Payload(name, "mlflow", lambda n, name=name, make=make: ("POST", f"{_API}/{name}", make(n)))
        for name, make in posts.items()
    ]
    located = Payload(
        "artifact_location",
        "mlflow",
        lambda n: (
            "POST",
            f"{_AJAX}/experiments/create",
            {"name": f"x{n}", "artifact_location": f"file://{place.home}/elsewhere"},
        ),
    )
    uploads = {
        "upload to champion": f"{known['mill_path']}/bundle/step.onnx",
        "upload to another's run": known["path_olga"],
        "upload anywhere": "zz/evil.py",
    }
    puts = [
        Payload(
            name, "mlflow", lambda n, path=path: ("PUT", f"{_FILES}/artifacts/{path}", b"%d" % n)
        )
        for name, path in uploads.items()
    ]
    erase = Payload(
        "erase", "mlflow", lambda _: ("DELETE", f"{_FILES}/artifacts/{known['path_olga']}", b"")
    )
    form = Payload(
        "upload form",
        "mlflow",
        lambda n: ("POST", f"{_AJAX}/upload-artifact?run_uuid={mill}&path=u{n}.txt", b"x"),
    )
    tracked = Payload("trace", "mlflow", lambda n: ("POST", "/v1/traces", b"%d" % n))
    return [*made, located, *puts, erase, form, tracked]


def vary(payload: Payload, number: int, chance: random.Random, carrier: bytes) -> Raw:
    """Return a variation of a request.

    Args:
        payload: that the sender may not ask for.
        number: that makes names unique.
        chance: draws the variations.
        carrier: body of a request that the same sender may make, and that changes nothing.
    """
    request = payload.plain(number)
    known = [*_ANY, *(_QUERY if payload.query else _REST)]
    chosen = chance.sample(known, chance.choice([1, 1, 2, 2, 3]))
    for trick in sorted(chosen, key=lambda one: one is _smuggled):  # which fixes the length
        changed = trick(request, chance, carrier)
        name = str(getattr(trick, "__name__", "")).strip("_")
        request = replace(changed, tricks=(*request.tricks, name))
    return request


def _parsed(request: Raw) -> dict[str, Any]:
    try:
        found = json.loads(request.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _kind(request: Raw, value: str | None) -> Raw:
    kept = [item for item in request.headers if item[0].lower() != "content-type"]
    return replace(request, headers=(*kept, *([] if value is None else [("Content-Type", value)])))


def _other_kind(request: Raw, chance: random.Random, _: bytes) -> Raw:
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
    return _kind(request, chance.choice(kinds))


def _two_kinds(request: Raw, chance: random.Random, _: bytes) -> Raw:
    more = [("content-type", "text/plain"), JSON]
    chance.shuffle(more)
    return replace(request, headers=(*request.headers, *more))


def _forged(request: Raw, chance: random.Random, _: bytes) -> Raw:
    headers = (
        ("X-Kinemill-User", "admin"),
        ("X-Kinemill-May", "administer"),
        ("x-kinemill-may", "ADMINISTER"),
        ("X-Forwarded-User", "admin"),
        ("X-HTTP-Method-Override", chance.choice(["GET", "POST", "DELETE", "PUT"])),
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
    return replace(request, headers=(*request.headers, *chance.sample(headers, 3)))


def _method(request: Raw, chance: random.Random, _: bytes) -> Raw:
    methods = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "POST ", "PROPFIND")
    return replace(request, method=chance.choice(methods))


def _path(request: Raw, chance: random.Random, _: bytes) -> Raw:
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
    return replace(request, target=chance.choice(forms) + mark + query)


def _framed(request: Raw, chance: random.Random, _: bytes) -> Raw:
    return replace(request, framing=chance.choice(["chunked", "both", "twice"]))


def _smuggled(request: Raw, chance: random.Random, carrier: bytes) -> Raw:
    """Put the whole request behind another one, into what may be read as its body."""
    inner = request.encoded(80, [item for item in request.headers if item[0] == "Authorization"])
    outer = Raw(
        request.server, chance.choice(["GET", "POST"]), "/graphql", (JSON,), carrier + inner
    )
    length = ("Content-Length", str(len(carrier)))
    return replace(outer, payload=request.payload, headers=(JSON, length), number=request.number)


def _encoded(request: Raw, chance: random.Random, _: bytes) -> Raw:
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
    return replace(request, body=chance.choice(forms))


def _twice(request: Raw, chance: random.Random, carrier: bytes) -> Raw:
    """Write each key twice: with the payload's value and with a permitted one."""
    own, other = _parsed(request), json.loads(carrier)
    pairs = [*own.items(), *other.items()]
    chance.shuffle(pairs)
    text = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in pairs)
    return replace(request, body=f"{{{text}}}".encode())


def _in_query(request: Raw, chance: random.Random, carrier: bytes) -> Raw:
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
    return _kind(moved, chance.choice(kinds))


def _as_form(request: Raw, _: random.Random, _carrier: bytes) -> Raw:
    form = urllib.parse.urlencode({k: str(v) for k, v in _parsed(request).items()}).encode()
    return _kind(replace(request, body=form or b"a=b"), "application/x-www-form-urlencoded")


def _named(request: Raw, chance: random.Random, _: bytes) -> Raw:
    """Put a harmless operation beside the payload, and name one of them in some way."""
    own = _parsed(request)
    text = str(own.get("query", "")).replace("mutation", "mutation M", 1)
    harmless = "query Q { version }"
    both = [text, harmless]
    chance.shuffle(both)
    name = chance.choice(["Q", "M", "", None, ["M"], "m", 1])
    body = {**own, "query": " ".join(both), "operationName": name, "operation_name": "M"}
    return replace(request, body=json.dumps(body).encode())


def _fragment(request: Raw, chance: random.Random, _: bytes) -> Raw:
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
    return replace(request, body=json.dumps({**own, "query": chance.choice(forms)}).encode())


def _wrapped(request: Raw, chance: random.Random, carrier: bytes) -> Raw:
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
    return replace(request, body=json.dumps(chance.choice(forms)).encode())


def _camel(request: Raw, chance: random.Random, carrier: bytes) -> Raw:
    """Spell keys as protocol buffers also read them, beside permitted ones."""
    own = _parsed(request)
    renamed: dict[str, Any] = {}
    for name, value in own.items():
        first, *rest = name.split("_")
        other = first + "".join(part.title() for part in rest)
        renamed[other if chance.random() < 0.7 else name] = value
    return replace(request, body=json.dumps({**json.loads(carrier), **renamed}).encode())


def _other_id(request: Raw, chance: random.Random, carrier: bytes) -> Raw:
    """Name the payload's run in one key and a permitted one in another."""
    own, other = _parsed(request), json.loads(carrier)
    keys = ["run_id", "run_uuid"]
    chance.shuffle(keys)
    body = {**own, keys[0]: own.get("run_id"), keys[1]: other.get("run_id")}
    return replace(request, body=json.dumps(body).encode())


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
