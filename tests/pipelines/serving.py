"""`kinemill ui` as a process of a test, on separate ports, queried over GraphQL."""

import json
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import pytest

from benchmarks._servers import free_port
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill_dagster.assets import stages_of
from tests.conftest import COMMAND
from tests.pipelines.conftest import TASK, Workspace, copy_home, is_training

REPOSITORY = {"repositoryLocationName": "kinemill", "repositoryName": "__repository__"}
LAUNCH = """
mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
RUNS = """{ runsOrError { ... on Runs { results {
  runId status rootRunId tags { key value } } } } }"""
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"


def selector(task):
    """GraphQL selection of a run of all assets of a task."""
    assets = [{"path": [task, asset]} for asset in stages_of(load_task(task)).values()]
    return {**REPOSITORY, "jobName": "__ASSET_JOB", "assetSelection": assets}


@dataclass
class Served:
    """Running servers: their addresses, their process, their home."""

    workspace: Workspace
    ports: tuple[int, int]
    process: subprocess.Popen = field(default=None)
    urls: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()  # options of `kinemill ui`
    said: list[str] = field(default_factory=list)  # lines until it was ready

    def start(self):
        """Start the servers and wait until they answer."""
        ports = ["--port", str(self.ports[0]), "--mlflow-port", str(self.ports[1])]
        self.process = subprocess.Popen(
            [*COMMAND, "ui", *ports, *self.more], stderr=subprocess.PIPE, text=True
        )
        for line in self.process.stderr:
            self.said.append(line)
            if result := re.match(r"(Dagster|MLflow) +(http://127\.0\.0\.1:\d+)", line):
                self.urls[result[1]] = result[2]
            if "Ctrl-C" in line:
                return
        pytest.fail(f"kinemill ui ended with code {self.process.wait()}: {''.join(self.said)}")

    def stop(self):
        """End the servers as Ctrl-C does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate(timeout=90)

    def family(self):
        """All processes that grew from `kinemill ui`."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def server(self, words):
        """The server whose command holds `words`, without what it started."""
        for process in psutil.Process(self.process.pid).children():
            if words in " ".join(process.cmdline()):
                return process
        return pytest.fail(f"no server with {words!r}")

    def ask(self, query, **variables):
        """Ask Dagster's GraphQL, by POST."""
        token = (self.workspace.home.dagster / "servers" / "token").read_text()
        result = graphql(self.urls["Dagster"], query, variables, Authorization=f"Bearer {token}")
        assert "errors" not in result, result["errors"]
        return result["data"]

    def rest(self, path, body=None, token=None):
        """Send a request to `/api/v1`, POST with a body; return the open response."""
        token = token or (self.workspace.home.dagster / "servers" / "token").read_text()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.urls['Dagster']}/api/v1/{path}"
        return urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=120)

    def document(self, path, body=None, token=None):
        """Send a request to `/api/v1`; return the document of the response."""
        with self.rest(path, body, token) as response:
            return json.load(response)

    def runs(self):
        """Every run that Dagster knows, newest first."""
        return self.ask(RUNS)["runsOrError"]["results"]

    def attempts(self, root):
        """The runs of one launch, the first first: itself and its retries."""
        result = [run for run in self.runs() if root in (run["runId"], run["rootRunId"])]
        return result[::-1]

    def launch(self, tags=None, task=TASK, config=None, **learn):
        """Launch the whole chain with settings of the task; return the id of the run."""
        parameters = {
            "selector": selector(task),
            "mode": "default",
            "runConfigData": {"resources": {task: {"config": {"learn": learn, **(config or {})}}}},
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]
            },
        }
        return self.ask(LAUNCH, p=parameters)["launchPipelineExecution"]["run"]["runId"]

    def has_loaded(self, task):
        """Whether Dagster has the assets of a task."""
        query_text = "{ assetNodes { groupName } }"
        return task in {assetNode["groupName"] for assetNode in self.ask(query_text)["assetNodes"]}

    def status(self, run_id):
        """How a run stands."""
        return next(run["status"] for run in self.runs() if run["runId"] == run_id)

    def training(self):
        """The process that trains, or None."""
        return next((one for one in self.family() if is_training(one)), None)


def graphql(url, query, variables, **headers):
    """The reply of a Dagster server to a query by POST, also of an error that Dagster caught."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(f"{url}/graphql", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        if error.code != 500:
            raise
        return json.load(error)


@contextmanager
def serve(workspace, *options, ports=None):
    """Start the servers of a home, on free ports by default; they end with the context."""
    served = Served(workspace, ports or (free_port(), free_port()), more=options)
    try:
        served.start()
        yield served
    finally:
        served.stop()


@contextmanager
def serve_copy(original, folder):
    """Start the servers on a copy of a home and of its tasks."""
    copy_home(original.home, folder / "home")
    shutil.copytree(original.tasks, folder / "tasks")
    site = Workspace(Home(folder / "home"), folder / "tasks")
    with pytest.MonkeyPatch.context() as patch:
        site.enter(patch)
        with serve(site) as active:
            yield active
