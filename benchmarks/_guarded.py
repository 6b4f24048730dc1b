"""A home with contents, its two guarded servers, and a digest of the whole state."""

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import EXAMPLES, ROOT
from benchmarks._servers import free_port
from kinemill.task import load_task
from kinemill_dagster.assets import stages_of

PASSWORD = "correct horse battery"
MINE, OTHER = "cart_pole", "pendulum"  # tasks: the limited operator may change the first
SERVERS = {"dagster": "dagster_webserver", "mlflow": "mlflow"}
_LIVE = {"servers", ".telemetry", "logs", "storage"}  # folders with no state of users
_API = "/api/2.0/mlflow"
_START = 180.0  # s


@dataclass
class GuardedServers:
    """Running servers and the names of what is in the home.

    Attributes:
        home: folder.
        ports: of both servers, by name.
        tokens: by role; none for `anonymous`.
        ids: ids of runs, experiments and paths, by name.
    """

    home: Path
    ports: dict[str, int]
    tokens: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def bearer(self, role: str) -> list[tuple[str, str]]:
        """Return the headers that a role sends."""
        token = self.tokens.get(role)
        return [] if token is None else [("Authorization", f"Bearer {token}")]

    def ask(self, server: str, method: str, path: str, body: Any, role: str) -> Any:
        """Send an honest request; return the JSON answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **dict(self.bearer(role))}
        url = f"http://127.0.0.1:{self.ports[server]}{path}"
        request = urllib.request.Request(url, data or None, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as response:
            text = response.read()
        return json.loads(text) if text.startswith(b"{") else text

    def graphql(self, query: str, role: str = "admin", **variables: Any) -> Any:
        """Ask Dagster an honest question."""
        return self.ask(
            "dagster", "POST", "/graphql", {"query": query, "variables": variables}, role
        )


@contextmanager
def guarded(folder: Path) -> Generator[GuardedServers]:
    """Run both servers on a fresh home with runs, versions and users."""
    home = folder / "home"
    tasks = folder / "tasks"
    tasks.mkdir(parents=True)
    for name in (MINE, OTHER):
        shutil.copy(EXAMPLES / f"{name}.yaml", tasks)
    os.environ |= {"KINEMILL_HOME": str(home), "KINEMILL_TASKS": str(tasks)}
    servers = GuardedServers(home, {name: free_port() for name in SERVERS}, _users(home))
    _fill(servers)
    started = [
        start_server(home, tasks, SERVERS[name], servers.ports[name], folder / f"{name}.log")
        for name in SERVERS
    ]
    try:
        for name, process in zip(SERVERS, started, strict=True):
            wait_for(servers.ports[name], process)
        _use(servers)
        yield servers
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def _users(home: Path) -> dict[str, str]:
    """Make a user of each role; return the tokens."""
    from kinemill.store.home import Home
    from kinemill_dagster.pipelines.instance import open_instance
    from kinemill_dagster.pipelines.server.auth.users import Users

    made, tokens = Home(home), dict[str, str]()
    made.make()
    with open_instance(made) as instance:
        storage: Any = instance.run_storage
        storage.get_run_storage_id()  # its first read adds a row
    users = Users(made)
    for role in ("viewer", "operator", "promoter", "admin"):
        users.put(role, role, PASSWORD)
    users.put("olga", "operator", PASSWORD)
    users.put("limited", "operator", PASSWORD, [MINE])
    for name in ("viewer", "operator", "limited", "olga", "promoter", "admin"):
        tokens[name] = users.renew_token(name)
    return tokens


def _fill(servers: GuardedServers) -> None:
    """Register two versions as kinemill does: into the database, not over HTTP."""
    from kinemill.store.home import Home
    from kinemill.tracking import open_tracking

    tracking = open_tracking(Home(servers.home))
    client = tracking.client
    experiment = tracking.experiment(MINE)
    client.create_registered_model(MINE)
    file = servers.home / "step.onnx"
    file.write_bytes(b"weights")
    for number in (1, 2):
        run = client.create_run(experiment, run_name=f"r{number}")
        client.log_artifact(run.info.run_id, str(file), "bundle")
        client.log_metric(run.info.run_id, "m", 1.0)
        client.set_terminated(run.info.run_id)
        source = f"{run.info.artifact_uri}/bundle"
        client.create_model_version(
            MINE, source, run.info.run_id, tags={"kinemill.sums": "a"}, await_creation_for=0
        )
        servers.ids |= {"mill": run.info.run_id, "mill_path": f"{MINE}/{run.info.run_id}/artifacts"}
    file.unlink()
    client.set_registered_model_alias(MINE, "champion", "1")
    servers.ids["mill_experiment"] = experiment


def start_server(
    home: Path, tasks: Path, module: str, port: int, log: Path
) -> "subprocess.Popen[bytes]":
    """Start a server of a home behind the guard, which asks for a login."""
    command = [sys.executable, "-m", "kinemill_dagster.pipelines.server.auth", module, "--login"]
    command += ["--port", str(port), "--workspace", str(ROOT / "workspace.yaml")]
    environment = {
        **os.environ,
        "KINEMILL_HOME": str(home),
        "KINEMILL_TASKS": str(tasks),
        "DAGSTER_HOME": str(home / "dagster"),
        "KINEMILL_PROJECT": str(ROOT),
        "PYTHONPATH": str(ROOT),
    }
    with log.open("wb") as output:
        # Dagster would load `.env` of the checkout over this environment.
        return subprocess.Popen(command, cwd=home, env=environment, stdout=output, stderr=output)


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return as soon as a server listens.

    Raises:
        RuntimeError: It ended, or took too long.
    """
    until = time.monotonic() + _START
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.2)
    message = f"a server on port {port} did not start (exit code {process.poll()})"
    raise RuntimeError(message)


LAUNCH = (
    "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename"
    " ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"
)


def selector(task: str) -> dict[str, object]:
    """Return what selects all assets of a task for a run."""
    where = {"repositoryLocationName": "kinemill", "repositoryName": "__repository__"}
    assets = [{"path": [task, asset]} for asset in stages_of(load_task(task)).values()]
    return {**where, "jobName": "__ASSET_JOB", "assetSelection": assets}


def _use(servers: GuardedServers) -> None:
    """Launch runs, which wait in the queue, and log runs over HTTP as two operators do."""
    for server in SERVERS:  # what the first page makes, such as an id of the storage
        servers.ask(server, "GET", "/", b"", "admin")
    for task in (MINE, OTHER):
        params = {"selector": selector(task), "mode": "default"}
        launched = servers.graphql(LAUNCH, p=params)["data"]["launchRun"]
        servers.ids[f"run_{task}"] = launched["run"]["runId"]
    notes = servers.ask("mlflow", "POST", f"{_API}/experiments/create", {"name": "notes"}, "admin")
    servers.ids["notes"] = notes["experiment_id"]
    for name in ("operator", "olga"):
        body = {"experiment_id": notes["experiment_id"], "run_name": name}
        run = servers.ask("mlflow", "POST", f"{_API}/runs/create", body, name)["run"]["info"]
        servers.ids[f"of_{name}"] = run["run_id"]
        path = f"{notes['experiment_id']}/{run['run_id']}/artifacts/notes.txt"
        servers.ids[f"path_{name}"] = path
        url = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
        servers.ask("mlflow", "PUT", url, b"plain text", name)


def state_digest(home: Path) -> dict[str, str]:
    """Return a hash of each table and each file of a home that users can change."""
    return dict(_digests(home))


def _digests(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if not path.is_file() or _LIVE & set(name.parts[:-1]) or name.suffix in {"-wal", "-shm"}:
            continue
        if path.suffix in {".db", ".sqlite"}:
            yield from _tables(path, str(name))
        elif not path.name.endswith(("-wal", "-shm", "-journal")) and ".locks" not in name.parts:
            yield str(name), hashlib.sha256(path.read_bytes()).hexdigest()


def _tables(path: Path, name: str) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (table,) in sorted(tables):
            rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
            text = "\n".join(sorted(map(repr, rows)))
            yield f"{name}:{table}", hashlib.sha256(text.encode()).hexdigest()
