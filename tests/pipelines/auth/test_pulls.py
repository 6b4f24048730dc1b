"""Pulls over HTTP: a robot with a token reports the version that it installed."""

import threading

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from kinemill.errors import Unreachable
from kinemill.register.pulls import deployed, pulls_of
from kinemill.runtime.download import _report
from kinemill.runtime.registry_client import ServerSource, VersionRef
from kinemill_dagster.pipelines.auth.middleware import Guard
from kinemill_dagster.pipelines.auth.mlflow_site import MlflowSite
from kinemill_dagster.pipelines.auth.pulls import PullRecorder
from kinemill_dagster.pipelines.auth.rules import Rules
from kinemill_dagster.pipelines.auth.users import Users, home_token
from tests.pipelines.auth.records import FewRecords


def artifact(request):
    """Answer like MLflow: the files of version 1 alone."""
    status = 200 if request.query_params["version"] == "1" else 404
    return PlainTextResponse("sums", status)


@pytest.fixture
def server(home):
    """The guard and the recorder before an app; its address and the token of the robot's user."""
    users = Users(home)
    users.put("rob", "viewer", "correct horse battery")
    app = Starlette(routes=[Route("/model-versions/get-artifact", artifact)])
    rules = Rules(MlflowSite(FewRecords()), users, "ada", home_token(home), login=True)
    config = uvicorn.Config(
        Guard(PullRecorder(app, home), rules), host="127.0.0.1", port=0, log_level="error"
    )
    made = uvicorn.Server(config)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    while not made.started:
        thread.join(0.05)
    port = made.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", users.renew_token("rob")
    made.should_exit = True
    thread.join(20)


def source(server, robot, token=None):
    return ServerSource(server[0], "arm", "@champion", token or server[1], robot)


def test_an_installation_is_recorded_with_robot_and_user(server, home):
    source(server, "left arm ö").report(VersionRef(1, "sums"))
    (pull,) = deployed(home, "arm").values()
    assert (pull.robot, pull.version, pull.user) == ("left arm ö", 1, "rob")
    source(server, "left arm ö").report(VersionRef(1, "sums"))
    assert len(pulls_of(home, "arm")) == 1


def test_what_mlflow_does_not_confirm_is_not_recorded(server, home):
    assert "unreported" in _report(source(server, "left"), VersionRef(2, "sums"))
    with pytest.raises(Unreachable, match="responded with 401"):
        source(server, "left", token="wrong").report(VersionRef(1, "sums"))
    assert pulls_of(home, "arm") == []


def test_a_download_alone_is_no_installation(server, home):
    source(server, "left")._file(VersionRef(1, "sums"), "sha256sums")
    assert pulls_of(home, "arm") == []
