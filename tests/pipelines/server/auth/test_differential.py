"""Requests of each role through the real servers, in plain and in ambiguous forms.

A home is compared before and after: a form of a request that two programs read differently must
change nothing where the plain form changes nothing.
"""

import json
import urllib.parse
from contextlib import suppress
from itertools import count

import pytest

from benchmarks._guarded import LAUNCH, MINE, OTHER, guarded, selector, state_digest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

API, FILES = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
ROLES = ("anonymous", "viewer", "limited", "operator", "admin")  # limited to MINE
NUMBERS = count()


def launch(task, **settings):
    params = {"selector": selector(task), "mode": "default", **settings}
    return "dagster", "POST", "/graphql", {"query": LAUNCH, "variables": {"p": params}}


def post(path, **body):
    return "mlflow", "POST", f"{API}/{path}", body


def upload(path):
    return "mlflow", "PUT", f"{FILES}/{path}", b"%d" % next(NUMBERS)


def payloads(site):
    """Return requests that change a home, by name: server, method, path and body."""
    ids = site.ids
    loose = {"resources": {MINE: {"config": {"promote": {"interval": False}}}}}
    name, elsewhere = f"x{next(NUMBERS)}", f"file://{site.home}/elsewhere"
    source = {"source": f"runs:/{ids['mill']}/bundle", "run_id": ids["mill"]}
    tag = {"key": "kinemill.sums", "value": "b"}
    form = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={ids['mill']}&path=u.txt"
    end = f'mutation {{ terminateRun(runId: "{ids[f"run_{OTHER}"]}") {{ __typename }} }}'
    return {
        "launch mine": launch(MINE),
        "launch other": launch(OTHER),
        "launch gate": launch(MINE, runConfigData=loose),
        "terminate other": ("dagster", "POST", "/graphql", {"query": end}),
        "alias": post("registered-models/alias", name=MINE, alias="champion", version="2"),
        "tag of a version": post("model-versions/set-tag", name=MINE, version="1", **tag),
        "new version": post("model-versions/create", name=MINE, **source),
        "tag of a run": post("runs/set-tag", run_id=ids["of_olga"], key="t", value="1"),
        "artifact_location": post("experiments/create", name=name, artifact_location=elsewhere),
        "upload to champion": upload(f"{ids['mill_path']}/bundle/step.onnx"),
        "upload anywhere": upload("zz/evil.py"),
        "erase": ("mlflow", "DELETE", f"{FILES}/{ids['path_olga']}", b""),
        "upload form": ("mlflow", "POST", form, b"x"),
        "trace": ("mlflow", "POST", "/v1/traces", b"1"),
    }


def ambiguous(path, body, permitted):
    """Yield path and body of forms of a request, next to a body that the sender may send."""
    yield f"/{path}", body
    yield f"/x/..{path}", body
    yield path.replace("/", "//"), body
    yield path.replace("/api/", "/ajax-api/"), body
    if not isinstance(body, dict):
        return
    for pairs in ([*body.items(), *permitted.items()], [*permitted.items(), *body.items()]):
        text = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs)
        yield path, f"{{{text}}}".encode()
    query = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in body.items()
    }
    yield f"{path}?{urllib.parse.urlencode(query)}", permitted
    yield path, [body]
    yield path, [permitted, body]
    camel = {key.title().replace("_", ""): value for key, value in body.items()}
    yield path, permitted | {key[0].lower() + key[1:]: value for key, value in camel.items()}
    if "query" in body:
        head, _, rest = body["query"].partition("{")
        inner = rest.rstrip().removesuffix("}")
        yield path, body | {"query": f"{head}{{ ...A }} fragment A on Mutation {{ {inner} }}"}
        named = body["query"].replace("mutation", "mutation M", 1)
        for operation in ("Q", "M", ["M"]):
            both = {"query": f"query Q {{ version }} {named}", "operationName": operation}
            yield path, body | both


def send(site, role, server, method, path, body):
    with suppress(OSError):  # a refusal: what counts is the state of the home
        site.ask(server, method, path, body, role)


def test_ambiguous_request_changes_nothing_that_its_plain_form_may_not(tmp_path, monkeypatch):
    for name in ("KINEMILL_HOME", "KINEMILL_TASKS", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path))  # restored afterwards
    effective, violations = {role: set() for role in ROLES}, []
    with guarded(tmp_path) as site:
        for role in ROLES:
            mine = site.ids["of_operator" if role in {"operator", "admin"} else "of_olga"]
            harmless = {
                "dagster": {"query": "{ version }"},
                "mlflow": {"run_id": mine, "max_results": 1},
            }
            for name, (server, method, path, body) in payloads(site).items():
                before = state_digest(site.home)
                send(site, role, server, method, path, body)
                plain = state_digest(site.home)
                if plain != before:
                    effective[role].add(name)
                    continue
                for form in ambiguous(path, body, harmless[server]):
                    send(site, role, server, method, *form)
                if state_digest(site.home) != plain:
                    violations.append((role, name))
    assert violations == []
    assert effective["viewer"] == effective["anonymous"] == set()
    assert "launch mine" in effective["limited"]
    assert effective["operator"] >= {"launch other", "new version"}
    assert not effective["operator"] & {"launch gate", "alias", "tag of a version"}
    assert "launch other" not in effective["limited"]
    assert "alias" in effective["admin"]
    closed = {"artifact_location", "upload anywhere", "erase", "upload form", "trace"}
    assert not effective["admin"] & closed
