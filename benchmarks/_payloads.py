"""Payloads of requests to Dagster and MLflow, in plain form; each changes state."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks._guarded import LAUNCH, MINE, OTHER, GuardedServers, selector

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
            body = (
                b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
                + b"0\r\n\r\n"
            )
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


def payloads(servers: GuardedServers) -> list[Payload]:
    """Return what requests ask for: changes of Dagster and of MLflow."""
    return [*_mutations(servers), *_posts(servers), *_uploads(servers)]


def _mutations(servers: GuardedServers) -> list[Payload]:
    run = {task: servers.ids[f"run_{task}"] for task in (MINE, OTHER)}
    gate = {"resources": {MINE: {"config": {"promote": {"interval": False}}}}}
    where = {"repositoryLocationName": "kinemill", "repositoryName": "__repository__"}
    sensor = json.dumps({**where, "sensorName": "retraining"})
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
    result = [_graphql(name, make) for name, make in graphql.items()]
    report = Payload(
        "report asset", "dagster", lambda n: ("POST", f"/report_asset_materialization/r{n}", {})
    )
    return [*result, report]


def _graphql(name: str, make: Callable[[int], tuple[str, dict[str, Any]]]) -> Payload:
    def body(number: int) -> tuple[str, str, Any]:
        query, variables = make(number)
        return "POST", "/graphql", {"query": query, "variables": variables}

    return Payload(name, "dagster", body, query=True)


def _posts(servers: GuardedServers) -> list[Payload]:
    """Return requests whose body is one JSON document."""
    ids = servers.ids
    run_id, olga, notes = ids["mill"], ids["of_olga"], ids["notes"]
    bodies: dict[str, Callable[[int], dict[str, Any]]] = {
        "experiments/create": lambda n: {"name": f"e{n}"},
        "experiments/update": lambda n: {"experiment_id": notes, "new_name": f"notes{n}"},
        "experiments/set-experiment-tag": lambda n: {
            "experiment_id": ids["mill_experiment"],
            "key": "k",
            "value": str(n),
        },
        "runs/create": lambda _: {"experiment_id": ids["mill_experiment"]},
        "runs/log-metric": lambda n: {
            "run_id": run_id,
            "run_uuid": run_id,
            "key": "m",
            "value": n,
            "timestamp": n,
        },
        "runs/set-tag": lambda n: {"run_id": olga, "key": "t", "value": str(n)},
        "runs/update": lambda n: {"run_id": run_id, "status": "RUNNING", "run_name": f"r{n}"},
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
            "source": f"runs:/{run_id}/bundle",
            "run_id": run_id,
        },
        "logged-models": lambda n: {"experiment_id": notes, "name": f"l{n}"},
    }
    return [
        Payload(name, "mlflow", lambda n, name=name, make=make: ("POST", f"{_API}/{name}", make(n)))
        for name, make in bodies.items()
    ]


def upload_targets(servers: GuardedServers) -> dict[str, str]:
    """Return the path below the artifact root that each upload writes, by the payload's name."""
    return {
        "upload to champion": f"{servers.ids['mill_path']}/bundle/step.onnx",
        "upload to another's run": servers.ids["path_olga"],
        "upload anywhere": "zz/evil.py",
    }


def _uploads(servers: GuardedServers) -> list[Payload]:
    """Return requests that write or delete files, and an experiment elsewhere on the disk."""
    ids = servers.ids
    located = Payload(
        "artifact_location",
        "mlflow",
        lambda n: (
            "POST",
            f"{_AJAX}/experiments/create",
            {"name": f"x{n}", "artifact_location": f"file://{servers.home}/elsewhere"},
        ),
    )
    puts = [
        Payload(
            name, "mlflow", lambda n, path=path: ("PUT", f"{_FILES}/artifacts/{path}", b"%d" % n)
        )
        for name, path in upload_targets(servers).items()
    ]
    erase = Payload(
        "erase", "mlflow", lambda _: ("DELETE", f"{_FILES}/artifacts/{ids['path_olga']}", b"")
    )
    form = Payload(
        "upload form",
        "mlflow",
        lambda n: ("POST", f"{_AJAX}/upload-artifact?run_uuid={ids['mill']}&path=u{n}.txt", b"x"),
    )
    tracked = Payload("trace", "mlflow", lambda n: ("POST", "/v1/traces", b"%d" % n))
    return [located, *puts, erase, form, tracked]
