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


TINY = {"tiny"}
VERSION = {"version": 2}
GATE = ({"promote.margin": 0}, {"verify": {"horizon": 1}})
TRIALS = {**VERSION, "success": 17, "of": 20}
RELEASE = {"decision": "release", "recording": "a.csv"}


@pytest.mark.parametrize(
    ("method", "path", "body", "permission", "tasks"),
    [
        ("POST", "runs", {"task": "tiny"}, Permission.OPERATE, TINY),
        ("POST", "runs", {"task": "tiny", "overrides": GATE[0]}, Permission.PROMOTE, TINY),
        ("POST", "runs", {"task": "tiny", "overrides": GATE[1]}, Permission.PROMOTE, TINY),
        ("POST", f"runs/{RUN}/cancel", {}, Permission.OPERATE, {"walker"}),
        ("POST", "runs/1a2b/cancel", {}, Permission.OPERATE, None),
        ("PUT", "tasks/tiny/logs/a.csv", {}, Permission.OPERATE, TINY),
        ("POST", "tasks/tiny/check", {}, Permission.OPERATE, TINY),
        ("POST", "models/tiny/promote", VERSION, Permission.PROMOTE, TINY),
        ("POST", "models/tiny/promote", {**VERSION, "force": True}, Permission.ADMINISTER, TINY),
        ("POST", "drafts", {"name": "arm"}, Permission.OPERATE, {"arm"}),
        ("PUT", f"drafts/{DRAFT}/logs/a.csv", {}, Permission.OPERATE, set()),
        ("POST", f"drafts/{DRAFT}/build", {}, Permission.OPERATE, set()),
        ("POST", f"drafts/{DRAFT}/edit", {"channels": []}, Permission.OPERATE, set()),
        ("POST", f"drafts/{DRAFT}/check", {"task": {}}, Permission.OPERATE, set()),
        ("POST", "tasks", {"task": {"task": "arm"}}, Permission.PROMOTE, {"arm"}),
        ("POST", "models/tiny/rollback", {}, Permission.PROMOTE, TINY),
        ("POST", "models/tiny/approve", VERSION, Permission.PROMOTE, TINY),
        ("POST", "models/tiny/trials", TRIALS, Permission.PROMOTE, TINY),
        ("POST", "tasks/tiny/quarantine", RELEASE, Permission.OPERATE, TINY),
        ("POST", "tasks/tiny/tags", {"recording": "a", "tag": "slip"}, Permission.OPERATE, TINY),
    ],
)
def test_route_states_its_role_and_tasks(method, path, body, permission, tasks):
    result = decided(method, path, **body)
    assert (result.permission, result.tasks) == (permission, tasks)


def test_read_route_needs_a_viewer():
    assert route("GET", "models/tiny/@champion").least is Permission.LOOK
    assert route("HEAD", "runs").least is Permission.LOOK


def test_server_receives_the_validated_body():
    body = decided("POST", "runs", task="tiny", priority=3).body
    defaults = {"overrides": {}, "presets": [], "logs": None, "resume": False, "owner": None}
    assert body == {"task": "tiny", "priority": 3, **defaults}


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
