"""Permissions of REST, and the tasks that a request changes."""

import pytest

from kinemill_dagster.pipelines.server.auth.calls import Refused
from kinemill_dagster.pipelines.server.auth.permissions import Permission
from kinemill_dagster.pipelines.server.auth.request import Request
from kinemill_dagster.pipelines.server.auth.rest_routes import PREFIX, rest_route

DRAFT = "0" * 32
RUN = "1a2b3c4d-0000-0000-0000-000000000000"


def route(method, path):
    return rest_route(Request(method, (*PREFIX, *path.split("/"))), {RUN: "walker"}.get)


def decided(method, path, **body):
    request = Request(method, (*PREFIX, *path.split("/")), body=body)
    made = rest_route(request, {RUN: "walker"}.get)
    decision = made.decide(request, "otto")
    assert decision.permission >= made.least
    return decision


@pytest.mark.parametrize(
    ("decision", "permission", "tasks"),
    [
        (lambda: decided("POST", "runs", task="tiny"), Permission.OPERATE, {"tiny"}),
        (
            lambda: decided("POST", "runs", task="tiny", overrides={"promote.margin": 0}),
            Permission.PROMOTE,
            {"tiny"},
        ),
        (
            lambda: decided("POST", "runs", task="tiny", overrides={"verify": {"horizon": 1}}),
            Permission.PROMOTE,
            {"tiny"},
        ),
        (lambda: decided("POST", f"runs/{RUN}/cancel"), Permission.OPERATE, {"walker"}),
        (lambda: decided("POST", "runs/1a2b/cancel"), Permission.OPERATE, None),
        (lambda: decided("PUT", "tasks/tiny/logs/a.csv"), Permission.OPERATE, {"tiny"}),
        (lambda: decided("POST", "tasks/tiny/check"), Permission.OPERATE, {"tiny"}),
        (lambda: decided("POST", "models/tiny/promote", version=2), Permission.PROMOTE, {"tiny"}),
        (
            lambda: decided("POST", "models/tiny/promote", version=2, force=True),
            Permission.ADMINISTER,
            {"tiny"},
        ),
        (lambda: decided("POST", "drafts", name="arm"), Permission.OPERATE, {"arm"}),
        (lambda: decided("PUT", f"drafts/{DRAFT}/logs/a.csv"), Permission.OPERATE, set()),
        (lambda: decided("POST", f"drafts/{DRAFT}/build"), Permission.OPERATE, set()),
        (lambda: decided("POST", f"drafts/{DRAFT}/edit", channels=[]), Permission.OPERATE, set()),
        (lambda: decided("POST", f"drafts/{DRAFT}/check", task={}), Permission.OPERATE, set()),
        (lambda: decided("POST", "tasks", task={"task": "arm"}), Permission.PROMOTE, {"arm"}),
        (lambda: decided("POST", "models/tiny/rollback"), Permission.PROMOTE, {"tiny"}),
        (lambda: decided("POST", "models/tiny/approve", version=2), Permission.PROMOTE, {"tiny"}),
        (
            lambda: decided("POST", "models/tiny/trials", version=2, success=17, of=20),
            Permission.PROMOTE,
            {"tiny"},
        ),
        (
            lambda: decided("POST", "tasks/tiny/quarantine", decision="release", recording="a.csv"),
            Permission.OPERATE,
            {"tiny"},
        ),
        (
            lambda: decided("POST", "tasks/tiny/tags", recording="a.csv", tag="slip"),
            Permission.OPERATE,
            {"tiny"},
        ),
    ],
)
def test_route_states_its_role_and_tasks(decision, permission, tasks):
    result = decision()
    assert (result.permission, result.tasks) == (permission, tasks)


def test_read_route_needs_a_viewer():
    assert route("GET", "models/tiny/@champion").least is Permission.LOOK
    assert route("HEAD", "runs").least is Permission.LOOK


def test_server_receives_the_validated_body():
    body = decided("POST", "runs", task="tiny", priority=3).body
    assert body == {
        "task": "tiny",
        "overrides": {},
        "presets": [],
        "logs": None,
        "priority": 3,
        "resume": False,
        "owner": None,
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "runs", {}, 400),
        ("POST", "runs", {"task": "tiny", "code": "x"}, 400),
        ("POST", "runs", {"task": "tiny", "presets": ["model=huge"]}, 400),
        ("POST", "runs", {"task": "tiny", "priority": True}, 400),
        ("POST", f"runs/{RUN}/cancel", {"force": True}, 400),
        ("POST", "models/tiny/promote", {"version": 0}, 400),
        ("POST", "models/tiny/promote", {"version": 1, "who": "ada"}, 400),
        ("POST", "tasks/tiny/quarantine", {"decision": "forget", "recording": "a"}, 400),
        ("POST", "tasks/tiny/tags", {"recording": "a", "tag": "x" * 101}, 400),
        ("POST", "tasks/tiny/tags", {"recording": "a", "tag": "x", "who": "ada"}, 400),
        ("DELETE", "tasks/tiny/tags", {}, 405),
        ("POST", "drafts", {"name": "../arm"}, 400),
        ("POST", "drafts", {"name": "arm", "logs": [{"folder": "x", "path": "/etc"}]}, 400),
        ("POST", "drafts", {"name": "arm", "rate": 0.0}, 400),
        ("POST", f"drafts/{DRAFT}/build", {"code": "x"}, 400),
        ("POST", "tasks", {"task": {}}, 400),
        ("POST", "tasks", {"task": {"task": "../arm"}}, 400),
        ("POST", "tasks", {"task": {"task": "arm"}, "draft": "../x"}, 400),
        ("POST", "tasks", {"task": {"task": "arm", "description": "x" * 10_001}}, 400),
        ("POST", "runs", {"task": "tiny", "overrides": {"description": "x" * 10_001}}, 400),
        ("DELETE", f"drafts/{DRAFT}", {}, 405),
        ("DELETE", "models/tiny", {}, 405),
        ("POST", "models/tiny", {}, 405),
        ("PUT", "tasks/tiny", {}, 405),
        ("POST", "runs/x/y/z", {}, 405),
    ],
)
def test_invalid_request_is_refused(method, path, body, status):
    with pytest.raises(Refused) as refused:
        decided(method, path, **body)
    assert refused.value.status == status


def test_stream_is_authorized_before_its_body():
    assert route("PUT", "tasks/tiny/logs/a.csv").body == "stream"
