"""`kinemill runs start` and `cancel`: start and cancel runs on a Dagster server."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.dagster_client import Server
from kinemill.cli.output import (
    JsonOption,
    Logs,
    Overrides,
    Presets,
    Resume,
    TaskName,
    changes,
    document,
    logs_path,
    notify,
)
from kinemill.store import Json

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="Run id or its prefix, from `kinemill runs list`.")
]
_REPOSITORIES = """
{ repositoriesOrError { __typename ... on PythonError { message }
  ... on RepositoryConnection { nodes { name location { name } assetGroups { groupName } } } } }
"""
_ASSETS = """
query($group: AssetGroupSelector!) { assetNodes(group: $group) {
  assetKey { path } isMaterializable } }
"""
_ASSET_JOB = "__ASSET_JOB"  # Dagster's own job of all assets, of which a run selects some
_RELOAD = """
mutation($location: String!) { reloadRepositoryLocation(repositoryLocationName: $location) {
  __typename } }
"""
_LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on Error { message } } }
"""
_TERMINATE = """
mutation($id: String!, $policy: TerminateRunPolicy) {
  terminateRun(runId: $id, terminatePolicy: $policy) { __typename
  ... on TerminateRunFailure { message } ... on Error { message } } }
"""
_SAFE, _FORCED = "SAFE_TERMINATE", "MARK_AS_CANCELED_IMMEDIATELY"
_TRIES = 10  # attempts to cancel a run
_PATIENCE = 30.0  # s for a run to end after it was canceled
_LOOK_EVERY = 0.3  # s


def start(
    task: TaskName,
    logs: Logs = None,
    overrides: Overrides = None,
    presets: Presets = None,
    owner: Annotated[
        str | None, typer.Option("--owner", help="Owner of the run; default: you.")
    ] = None,
    priority: Annotated[
        int, typer.Option("--priority", help="Queue priority; higher runs first.")
    ] = 0,
    resume: Resume = False,
    as_json: JsonOption = False,
) -> None:
    """Start a run on the Dagster server and return.

    The server is that of `kinemill ui`, or the one at KINEMILL_URL.

    Example: kinemill runs start my_robot --set learn.steps=500
    """
    from kinemill.cli import run_status
    from kinemill.cli.dagster_client import find_server
    from kinemill.ingest.files import drop_folder
    from kinemill.store.home import Home
    from kinemill.store.locks import current_user
    from kinemill.task import load_task
    from kinemill.task.web_overrides import within

    logs = logs_path(logs, "--logs") if logs else None
    changed = changes(presets, overrides)
    loaded, server = load_task(task, changed, web=True), find_server()
    if logs is not None and "KINEMILL_URL" not in os.environ:  # a server of this home
        within(drop_folder(loaded, Home.resolve()), logs.resolve())
    for note in loaded.notes:
        notify(note)
    tags = {run_status.OWNER: owner or current_user()}
    if priority:
        tags[run_status.PRIORITY] = str(priority)
    if resume:
        tags[run_status.RESUME] = "true"
    config = _config(loaded.name, changed, logs)
    run = _launch(server, loaded.name, config, tags)
    if as_json:
        document(run_status.one(server, run))
        return
    typer.echo(f"run {run[:8]} of {loaded.name} is queued  {server.page(run)}")
    typer.echo(f"follow it: kinemill runs metrics {run[:8]} --follow")
    typer.echo(f"end it:    kinemill runs cancel {run[:8]}")


def _config(task: str, changed: Json, logs: Path | None) -> Json:
    """Return the run config: overrides for the task's resource, and the folder of `recordings`."""
    from kinemill.task.overrides import nested

    config: dict[str, Any] = {}
    if changed:
        config["resources"] = {task: {"config": nested(changed)}}
    if logs is not None:
        config["ops"] = {f"{task}__recordings": {"config": {"folder": str(logs)}}}
    return config


def _launch(
    server: Server, task: str, config: Mapping[str, object], tags: Mapping[str, str]
) -> str:
    """Launch a run of all assets of a task; return its id."""
    from kinemill.errors import BadInput

    listed = [{"key": key, "value": value} for key, value in tags.items()]
    params = {
        "selector": _select_assets(server, task),
        "runConfigData": config,
        "executionMetadata": {"tags": listed},
    }
    response = server.ask(_LAUNCH, params=params)["launchRun"]
    if response["__typename"] == "LaunchRunSuccess":
        return response["run"]["runId"]
    errors = [line["message"] for line in response.get("errors", [])] or [response.get("message")]
    text = "; ".join(str(error).partition("\n\nStack Trace")[0] for error in errors)
    raise BadInput(server.url, f"does not start {task}: {text or response['__typename']}")


def _select_assets(server: Server, task: str) -> Json:
    """Return the selector of a task's assets, which are a group of its name."""
    where = _locate(server, task)
    nodes = server.ask(_ASSETS, group={"groupName": task, **where})["assetNodes"]
    keys = [node["assetKey"] for node in nodes if node["isMaterializable"]]
    return {**where, "jobName": _ASSET_JOB, "assetSelection": keys}


def _locate(server: Server, task: str) -> dict[str, str]:
    """Return where a task is defined; reload the code location if the file is newer."""
    from kinemill.errors import BadInput
    from kinemill.registry import nearest

    response = _repositories(server)
    if not any(task in groups for *_, groups in response):
        for location in {location for location, *_ in response}:
            server.ask(_RELOAD, location=location)
        response = _repositories(server)
    for location, name, groups in response:
        if task in groups:
            return {"repositoryLocationName": location, "repositoryName": name}
    tasks = sorted({group for *_, groups in response for group in groups})
    raise BadInput(server.url, f"has no task {task!r}", fix=nearest(task, tasks))


def _repositories(server: Server) -> list[tuple[str, str, list[str]]]:
    """Return (location, repository, asset groups) of everything that the server has loaded."""
    response = server.ask(_REPOSITORIES)["repositoriesOrError"]
    if response["__typename"] != "RepositoryConnection":
        raise server.failure(response.get("message", response["__typename"]))
    return [
        (node["location"]["name"], node["name"], [one["groupName"] for one in node["assetGroups"]])
        for node in response["nodes"]
    ]


def cancel(run: RunName, as_json: JsonOption = False) -> None:
    """Cancel a queued or running run.

    Ends every process of the run.

    Example: kinemill runs cancel 1ee64d1c
    """
    from kinemill.cli import run_status
    from kinemill.cli.dagster_client import find_server
    from kinemill.errors import BadInput

    server = find_server()
    record = run_status.look_up(server, run)
    status = run_status.status_of(record)
    if status == "canceled":
        notify(f"run {record['runId'][:8]} was canceled before")
    elif status in run_status.ENDED:
        raise BadInput(f"run {record['runId'][:8]}", f"is {status}; there is nothing to cancel")
    else:
        _end(server, record)
        record = _wait_until_ended(server, record)
    if as_json:
        document(run_status.document_of(server, record))
    else:
        typer.echo(
            f"run {record['runId'][:8]} of {run_status.task_of(record)} is "
            f"{run_status.status_of(record)}"
        )


def _end(server: Server, record: Json) -> None:
    """Cancel a run; mark one that is starting, which has no process yet, as canceled.

    Raises:
        KinemillError: Dagster refuses, and the run has not ended meanwhile.
    """
    from kinemill.cli import run_status
    from kinemill.errors import KinemillError

    response, reply = run_status.status_of(record), dict[str, Any]()
    for _ in range(_TRIES):  # the status may change between query and cancellation
        policy = _SAFE if response != "starting" else _FORCED
        reply = server.ask(_TERMINATE, id=record["runId"], policy=policy)["terminateRun"]
        if reply["__typename"] == "TerminateRunSuccess":
            return
        time.sleep(_LOOK_EVERY)
        response = run_status.status_of(run_status.look_up(server, record["runId"]))
        if response in run_status.ENDED:
            return
    said = reply.get("message") or reply["__typename"]
    raise KinemillError(f"run {record['runId'][:8]}", f"cannot be ended: {said}")


def _wait_until_ended(server: Server, record: Json) -> Json:
    """Wait until a canceled run has ended; return its status."""
    from kinemill.cli import run_status

    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and run_status.status_of(record) not in run_status.ENDED:
        time.sleep(_LOOK_EVERY)
        record = run_status.look_up(server, record["runId"])
    if run_status.status_of(record) not in run_status.ENDED:
        notify(
            f"still running {_PATIENCE:g} s after the cancel request; kinemill runs list shows it"
        )
    return record
