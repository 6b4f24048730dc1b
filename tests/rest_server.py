"""A REST server on loopback behind the guard, and a Dagster that answers GraphQL from a script."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import dagster as dg
import uvicorn
from starlette.responses import PlainTextResponse

from kinemill.store.home import Home
from kinemill_dagster.pipelines.server.auth.dagster_site import DagsterSite, StoredRun
from kinemill_dagster.pipelines.server.auth.middleware import Guard
from kinemill_dagster.pipelines.server.auth.pages import with_pages
from kinemill_dagster.pipelines.server.auth.rules import Rules
from kinemill_dagster.pipelines.server.auth.users import Users, home_token
from kinemill_dagster.pipelines.server.rest.launcher import Launcher
from kinemill_dagster.pipelines.server.rest.run_documents import Runs
from kinemill_dagster.pipelines.server.rest.service import Service
from kinemill_dagster.resources.tags import TASK


@dataclass
class ScriptedDagster:
    """Answers the GraphQL operations of the launcher, and remembers them.

    Attributes:
        instance: where launched runs appear, as queued.
        loaded: the tasks that are loaded.
        responses: responses by field in place of the usual ones.
        requests: field, variables and user of each operation.
    """

    instance: dg.DagsterInstance
    loaded: tuple = ("arm", "tiny")
    responses: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)

    def query(self, request, text, variables):
        """Run one operation."""
        for name in ("assetNodes", "launchRun", "terminateRun", "reload"):
            if name in text:
                break
        self.requests.append((name, dict(variables), request.headers["X-Kinemill-User"]))
        if name in self.responses:
            return {name: self.responses[name]}
        return {name: getattr(self, name)(**variables)}

    def assetNodes(self, group):  # noqa: N802
        """List the assets of a group: an external one, and two of the chain."""
        if group["groupName"] not in self.loaded:
            return []
        names = {"logs": False, "recordings": True, "model": True}
        return [
            {"assetKey": {"path": [group["groupName"], name]}, "isMaterializable": ours}
            for name, ours in names.items()
        ]

    def launchRun(self, params):  # noqa: N802
        """Add a queued run."""
        tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
        task = params["selector"]["assetSelection"][0]["path"][0]
        run = self.add(task, params["runConfigData"], tags)
        return {"__typename": "LaunchRunSuccess", "run": {"runId": run}}

    def terminateRun(self, id, policy):  # noqa: N802
        """Cancel a run; refuse, as Dagster does, one that is starting, unless it is forced."""
        run = self.instance.get_run_by_id(id)
        if run.status is dg.DagsterRunStatus.STARTING and policy == "SAFE_TERMINATE":
            message = "could not be terminated due to having status STARTING"
            return {"__typename": "TerminateRunFailure", "message": message}
        self.instance.report_run_canceled(run)
        return {"__typename": "TerminateRunSuccess"}

    def reload(self, location):
        """Load the definitions again."""
        self.loaded = ("arm", "tiny")
        return {"__typename": "WorkspaceLocationEntry"}

    def add(
        self, task, config=None, tags=None, status=dg.DagsterRunStatus.NOT_STARTED, run_id=None
    ):
        """Add a run of a task; return its id."""
        run = dg.DagsterRun(
            job_name="__ASSET_JOB",
            run_id=run_id or str(uuid4()),
            run_config=config or {},
            tags={TASK: task, **(tags or {})},
            status=status,
        )
        self.instance.add_run(run)
        return run.run_id


def rest_app(home: Home, instance, query):
    """The pages, the console and REST without the guard."""
    service = Service(home, Runs(home, instance), Launcher(query, instance))
    return with_pages(PlainTextResponse("dagster"), service)


@contextmanager
def serve(home: Home, instance, query, **users):
    """Serve REST on loopback, with users by role; yield address and tokens by name."""

    def find_run(run):
        record = instance.get_run_by_id(run)
        return record and StoredRun(f"{record.tags[TASK]}_chain", config=record.run_config)

    site = DagsterSite(lambda job: job.removesuffix("_chain"), find_run)
    users_ = Users(home)
    for name, role in users.items():
        users_.put(name, role, "correct horse battery")
    rules = Rules(site, users_, "ada", home_token(home), login=bool(users))
    guarded = Guard(rest_app(home, instance, query), rules)
    with listening(guarded) as port:
        yield f"http://127.0.0.1:{port}", {name: users_.renew_token(name) for name in users}


@contextmanager
def listening(app, **settings):
    """Serve an app on loopback in a thread; yield the port."""
    settings = {"log_level": "critical", "timeout_graceful_shutdown": 1, **settings}
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
