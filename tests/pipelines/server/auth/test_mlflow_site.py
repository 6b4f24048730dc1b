"""Roles of requests to MLflow, what MLflow receives, and routes closed for all."""

import pytest

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.auth.calls import Refused
from kinemill_dagster.pipelines.server.auth.mlflow_site import MlflowSite
from kinemill_dagster.pipelines.server.auth.permissions import Permission
from kinemill_dagster.pipelines.server.auth.request import Request
from kinemill_dagster.pipelines.server.auth.users import Users
from kinemill_dagster.resources.alerts import Webhooks
from tests.pipelines.server.auth.records import FewRecords
from tests.pipelines.server.auth.test_middleware import PASSWORD, guarded

__all__ = ["guarded"]  # a fixture
SITE = MlflowSite(FewRecords(), lambda: Webhooks(origins=["https://hooks.example.org"]))
API, AJAX, FILES = "api/2.0/mlflow", "ajax-api/2.0/mlflow", "api/2.0/mlflow-artifacts"
HOOK = {"name": "build", "url": "HTTPS://hooks.example.org:443/x", "secret": "0123456789abcdef"}


def routed(method, path, query=(), site=SITE):
    return site.route(Request(method, tuple(path.split("/")), query))


def decided(method, path, body=None, user="otto", site=SITE):
    request = Request(method, tuple(path.split("/")), (), body=body)
    return site.route(request).decide(request, user)


def sent(path, body, method="POST"):
    """Return the body that MLflow receives."""
    return decided(method, f"{API}/{path}", body).body


SOURCE = {"name": "tiny", "source": "runs:/open/model", "run_id": "open"}
ROLES = {
    Permission.LOOK: [
        ("POST", f"{AJAX}/runs/search", {}),
        ("GET", f"{FILES}/artifacts/1/a/model.onnx", None),
        ("GET", f"{FILES}/presigned/1/a/model.onnx", None),
        ("GET", f"{API}/registered-models/alias", None),
    ],
    Permission.OPERATE: [
        ("PUT", f"{FILES}/artifacts/1/open/artifacts/model.onnx", None),
        ("POST", f"{FILES}/mpu/create/1/open/artifacts/x", {}),
        ("POST", f"{API}/experiments/create", {"name": "tiny"}),
        ("POST", f"{API}/runs/log-batch", {"run_id": "mill"}),
        ("POST", f"{API}/runs/update", {"run_id": "open", "status": "FINISHED"}),
        ("POST", f"{API}/runs/set-tag", {"run_id": "mill", "key": "kinemill.key", "value": "x"}),
        ("PATCH", f"{API}/logged-models/m-1", {"status": "LOGGED_MODEL_READY"}),
        ("PATCH", f"{API}/logged-models/m-1/tags", {"tags": [{"key": "a", "value": "b"}]}),
        ("POST", f"{API}/registered-models/create", {"name": "tiny"}),
        ("POST", f"{API}/model-versions/create", SOURCE),
    ],
    Permission.PROMOTE: [
        ("POST", f"{API}/registered-models/alias", {"name": "tiny"}),
        ("DELETE", f"{API}/registered-models/alias", {"name": "tiny"}),
        ("POST", f"{AJAX}/model-versions/set-tag", {"name": "tiny", "key": "kinemill.decision"}),
        ("PATCH", f"{API}/model-versions/update", {"name": "tiny"}),
        (
            "POST",
            f"{API}/model-versions/create",
            {**SOURCE, "tags": [{"key": "kinemill.decision", "value": "champion"}]},
        ),
    ],
    Permission.ADMINISTER: [
        ("POST", f"{API}/runs/delete", {"run_id": "open"}),
        ("POST", f"{API}/experiments/update", {"experiment_id": "1"}),
        ("POST", f"{API}/registered-models/rename", {"name": "tiny"}),
        ("DELETE", f"{API}/model-versions/delete", {"name": "tiny"}),
        ("DELETE", f"{API}/logged-models/m-1", None),
        ("GET", f"{API}/webhooks", None),
        ("POST", f"{API}/webhooks", HOOK),
        ("GET", f"{API}/webhooks/1", None),
        ("PATCH", f"{AJAX}/webhooks/1", {"status": "DISABLED"}),
        ("DELETE", f"{API}/webhooks/1", None),
        ("POST", f"{API}/webhooks/1/test", {}),
    ],
}
CLOSED = [
    ("POST", "ajax-api/3.0/mlflow/assistant/message"),
    ("GET", "ajax-api/3.0/mlflow/assistant/sessions"),
    ("GET", "ajax-api/3.0/mlflow/gateway/secrets/list"),
    ("POST", "gateway/chat/invocations"),
    ("POST", "v1/traces"),
    ("PATCH", "something/new"),
    ("DELETE", f"{FILES}/artifacts/1/open/artifacts/a"),
    ("PUT", f"{FILES}/artifacts/zz/evil.py"),
    ("PUT", f"{FILES}/artifacts/1/open/evil.py"),
    ("POST", f"{FILES}/mpu/complete/1/none/artifacts/a"),
    ("POST", f"{AJAX}/upload-artifact"),
    ("POST", f"{API}/artifacts/presigned-upload-url"),
    ("POST", f"{API}/runs/create-promptlab-run"),
    ("PUT", f"{API}/webhooks/1"),
]


@pytest.mark.parametrize(
    ("permission", "method", "path", "body"),
    [(role, *request) for role, requests in ROLES.items() for request in requests],
)
def test_request_needs_role(permission, method, path, body):
    assert decided(method, path, body).permission is permission
    assert routed(method, path).least <= permission


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_route_is_closed(method, path):
    with pytest.raises(Refused) as why:
        decided(method, path, {})
    assert why.value.status == 403


@pytest.mark.parametrize(
    ("status", "path", "body"),
    [
        (403, "experiments/create", {"name": "a", "artifact_location": "file:///etc"}),
        (403, "experiments/create", {"name": "a", "artifactLocation": "file:///etc"}),
        (403, "model-versions/create", {**SOURCE, "source": "s3://other/x"}),
        (403, "model-versions/create", {"name": "notes", "run_id": "open"}),
        (400, "registered-models/create", {"name": "notes", "description": "x" * 10_001}),
        (400, "runs/set-tag", {"run_id": "open", "key": "note", "value": "x" * 10_001}),
        (400, "runs/log-batch", {"run_id": ["open"]}),
        (400, "runs/log-batch", {"run_id": "open", "tags": {"key": "a"}}),
        (403, "webhooks", {**HOOK, "url": "https://evil.example/"}),
        (403, "webhooks", {**HOOK, "url": "http://169.254.169.254/latest"}),
        (403, "webhooks", {**HOOK, "url": ""}),
        (400, "webhooks", {**HOOK, "url": ["https://hooks.example.org/"]}),
    ],
)
def test_body_is_refused(status, path, body):
    with pytest.raises(Refused) as why:
        decided("POST", f"{API}/{path}", body)
    assert why.value.status == status
    assert HOOK["secret"] not in why.value.why


def test_mlflow_receives_the_parsed_message():
    assert sent("runs/log-batch", {"runId": "mill", "run_id": "open", "workspace": "x"}) == {
        "run_id": "open"
    }
    model = {"model_id": "m-2", "tags": [{"key": "a", "value": "b"}]}
    assert sent("logged-models/m-1/tags", model, "PATCH") == {**model, "model_id": "m-1"}
    metric = {"run_id": "open", "key": "m", "value": 1.5, "timestamp": 2**53, "step": 0}
    assert sent("runs/log-metric", metric) == metric
    hook = sent("webhooks", HOOK)
    assert hook == {**HOOK, "url": "https://hooks.example.org/x"}


def test_user_of_a_request_is_written_into_runs_and_tags():
    tags = [{"key": "mlflow.user", "value": "root"}, {"key": "a", "value": "b"}]
    signed = [{"key": "mlflow.user", "value": "otto"}, {"key": "a", "value": "b"}]
    body = {"experiment_id": "1", "user_id": "root"}
    assert sent("runs/create", {**body, "tags": tags})["tags"] == signed
    assert sent("runs/create", body) == {
        "experiment_id": "1",
        "user_id": "otto",
        "tags": signed[:1],
    }
    assert sent("runs/log-batch", {"run_id": "open", "tags": tags})["tags"] == signed
    assert sent("runs/set-tag", {"run_id": "open", **tags[0]})["value"] == "otto"


@pytest.mark.parametrize(
    ("path", "body", "tasks"),
    [
        ("runs/create", {"experiment_id": "1"}, {"notes"}),
        ("runs/create", {"experiment_id": "3"}, {"tiny"}),
        ("runs/create", {"experiment_id": "9"}, None),
        ("experiments/create", {"name": "tiny/a"}, {"tiny"}),
        ("runs/log-metric", {"run_id": "mill", "run_uuid": "open"}, {"notes", "tiny"}),
        ("runs/log-metric", {"run_id": "mill", "run_uuid": "gone"}, None),
        ("registered-models/alias", {"name": "tiny.small"}, {"tiny"}),
    ],
)
def test_task_is_the_first_part_of_a_name(path, body, tasks):
    assert decided("POST", f"{API}/{path}", body).tasks == tasks


def test_webhooks_without_a_key_are_closed():
    def closed():
        raise BadInput("webhooks", "have no key")

    with pytest.raises(Refused, match="have no key"):
        decided("POST", f"{API}/webhooks", HOOK, site=MlflowSite(FewRecords(), closed))


ALIAS = {"name": "tiny", "alias": "champion", "version": "2"}


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "moves"),
    [
        ("pam", "POST", "registered-models/alias", ALIAS, [("tiny", "pam")]),
        ("pam", "DELETE", "registered-models/alias", ALIAS, [("tiny", "pam")]),
        ("pam", "POST", "registered-models/alias", {**ALIAS, "alias": "challenger"}, []),
        ("pam", "DELETE", "model-versions/delete", {"name": "tiny", "version": "1"}, []),
        ("ada", "DELETE", "model-versions/delete", {"name": "tiny"}, [("tiny", "ada")]),
    ],
)
def test_moved_champion_is_reported_with_its_user(
    guarded, home, quick_hashes, name, method, path, body, moves
):
    users = Users(home)
    users.put(name, {"pam": "promoter", "ada": "admin"}[name], PASSWORD)
    reported = []
    site = MlflowSite(FewRecords(), follow=lambda *move: reported.append(move))
    bearer = {"Authorization": f"Bearer {users.renew_token(name)}"}
    guarded(site, login=True).request(method, f"/{API}/{path}", json=body, headers=bearer)
    assert reported == moves


def test_each_route_of_mlflow_is_closed_or_listed():
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
