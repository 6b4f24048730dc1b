"""Permissions of requests to MLflow, and routes closed for all."""

import pytest

from kinemill_dagster.pipelines.auth.calls import Refused
from kinemill_dagster.pipelines.auth.mlflow_records import MADE_BY
from kinemill_dagster.pipelines.auth.mlflow_site import MlflowSite
from kinemill_dagster.pipelines.auth.permissions import Permission
from kinemill_dagster.pipelines.auth.request import Request
from tests.pipelines.auth.records import FewRecords

SITE = MlflowSite(FewRecords())
API, FILES = "api/2.0/mlflow", "api/2.0/mlflow-artifacts"


def decided(method, path, body=None, user="otto", query=()):
    request = Request(method, tuple(path.split("/")), query, body=body)
    return SITE.route(request).decide(request, user)


def refused(method, path, body=None, user="otto", query=()):
    with pytest.raises(Refused) as why:
        decided(method, path, body, user, query)
    return why.value.status


NEEDS = {
    ("POST", "ajax-api/2.0/mlflow/runs/search"): (Permission.LOOK, {}),
    ("GET", f"{FILES}/artifacts/1/a/model.onnx"): (Permission.LOOK, None),
    ("GET", f"{FILES}/presigned/1/a/model.onnx"): (Permission.LOOK, None),
    ("PUT", f"{FILES}/artifacts/1/open/artifacts/model.onnx"): (Permission.OPERATE, None),
    ("POST", f"{FILES}/mpu/create/1/open/artifacts/x"): (Permission.OPERATE, {}),
    ("POST", f"{API}/runs/log-batch"): (Permission.OPERATE, {"run_id": "open"}),
    ("POST", f"{API}/runs/update"): (Permission.OPERATE, {"run_id": "open", "status": "FINISHED"}),
    ("POST", f"{API}/runs/set-tag"): (
        Permission.ADMINISTER,
        {"run_id": "mill", "key": "mlflow.note"},
    ),
    ("POST", f"{API}/runs/delete"): (Permission.ADMINISTER, {"run_id": "open"}),
    ("POST", f"{API}/registered-models/alias"): (Permission.PROMOTE, {"name": "tiny"}),
    ("DELETE", f"{API}/registered-models/alias"): (Permission.PROMOTE, {"name": "tiny"}),
    ("POST", "ajax-api/2.0/mlflow/model-versions/set-tag"): (
        Permission.ADMINISTER,
        {"key": "note"},
    ),
    ("POST", f"{API}/experiments/update"): (Permission.ADMINISTER, {"experiment_id": "1"}),
}
CLOSED = {
    ("POST", "ajax-api/3.0/mlflow/assistant/message"),
    ("GET", "ajax-api/3.0/mlflow/assistant/sessions"),
    ("GET", "ajax-api/3.0/mlflow/gateway/secrets/list"),
    ("POST", "gateway/chat/invocations"),
    ("POST", "v1/traces"),
    ("PATCH", "something/new"),
    ("DELETE", f"{FILES}/artifacts/1/open/artifacts/a"),
    ("PUT", f"{FILES}/artifacts/zz/evil.py"),
    ("PUT", f"{FILES}/artifacts/1/done/artifacts/a"),
    ("PUT", f"{FILES}/artifacts/1/olgas/artifacts/a"),
    ("PUT", f"{FILES}/artifacts/tiny/mill/artifacts/bundle/step.onnx"),
    ("POST", f"{FILES}/mpu/complete/1/done/artifacts/a"),
    ("POST", "ajax-api/2.0/mlflow/upload-artifact"),
    ("POST", f"{API}/artifacts/presigned-upload-url"),
    ("POST", "ajax-api/2.0/mlflow/runs/create-promptlab-run"),
}


@pytest.mark.parametrize(("method", "path"), NEEDS)
def test_what_a_request_needs(method, path):
    permission, body = NEEDS[method, path]
    assert decided(method, path, body).permission is permission


@pytest.mark.parametrize(("method", "path"), sorted(CLOSED))
def test_what_is_closed(method, path):
    assert refused(method, path, {}) == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("experiments/create", {"name": "a", "artifact_location": "file:///etc"}),
        ("experiments/create", {"name": "a", "artifactLocation": "file:///etc"}),
        ("experiments/create", {"name": "tiny"}),
        ("model-versions/create", {"name": "tiny", "source": "runs:/open/model", "run_id": "open"}),
        ("model-versions/create", {"name": "notes", "source": "s3://other/x", "run_id": "open"}),
        ("model-versions/create", {"name": "notes", "run_id": "open"}),
        ("registered-models/create", {"name": "tiny"}),
        ("registered-models/create", {"name": "notes", "description": "x" * 10_001}),
        ("runs/set-tag", {"run_id": "open", "key": "note", "value": "x" * 10_001}),
        ("runs/set-tag", {"run_id": "open", "key": "kinemill.made_by", "value": "olga"}),
        ("runs/set-tag", {"run_id": "open", "key": "mlflow.user", "value": "olga"}),
        ("runs/delete-tag", {"run_id": "open", "key": MADE_BY}),
        ("runs/log-batch", {"run_id": "open", "tags": [{"key": MADE_BY, "value": "x"}]}),
        ("runs/log-batch", {"run_id": "open", "run_uuid": "done"}),
        ("runs/log-batch", {"run_id": "open", "runId": "done"}),
        ("runs/log-batch", {}),
        ("runs/log-metric", {"run_uuid": "done"}),
        ("runs/log-metric", {"run_id": "olgas"}),
        ("runs/log-metric", {"run_id": "unknown"}),
        ("runs/update", {"run_id": "done", "status": "RUNNING"}),
        ("model-versions/set-tag", {"name": "tiny", "key": "kinemill.sums"}),
        ("logged-models", {"experiment_id": "1", "source_run_id": "done"}),
    ],
)
def test_bodies_that_are_refused(path, body):
    assert refused("POST", f"{API}/{path}", body) in {400, 403, 404}


def test_a_run_is_stamped_with_the_user_who_makes_it():
    tags = [{"key": "mlflow.user", "value": "root"}, {"key": "a", "value": "b"}]
    body = {"experiment_id": "1", "user_id": "root", "tags": tags}
    sent = decided("POST", f"{API}/runs/create", body).body
    assert sent["user_id"] == "otto"
    assert sent["tags"] == [
        {"key": "a", "value": "b"},
        {"key": MADE_BY, "value": "otto"},
        {"key": "mlflow.user", "value": "otto"},
    ]


def test_the_task_is_the_first_part_of_a_name():
    for experiment, task in {"1": "notes", "2": "tiny", "3": "tiny"}.items():
        result = decided("POST", f"{API}/runs/create", {"experiment_id": experiment})
        assert result.tasks == {task}
    assert decided("POST", f"{API}/runs/create", {"experiment_id": "9"}).tasks is None
    assert decided("POST", f"{API}/experiments/create", {"name": "tiny/a"}).tasks == {"tiny"}


def test_every_route_of_mlflow_is_closed_or_listed():
    """A new MLflow may bring routes; none that changes something may be for all."""
    pytest.importorskip("uvicorn")
    from mlflow.server import app

    questions = ("search", "get-", "batchGet", "calculate-", "/metrics")
    served = 0
    for rule in app.url_map.iter_rules():
        path = str(rule.rule).replace("<path:", "<").replace("<", "").replace(">", "").strip("/")
        for method in rule.methods - {"GET", "HEAD", "OPTIONS"}:
            try:
                result = decided(method, path, {})
            except Refused:
                continue
            served += 1
            if result.permission is Permission.LOOK:
                assert any(term in path for term in questions), (method, path)
    assert served > 20
