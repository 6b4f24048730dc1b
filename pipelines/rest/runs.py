"""Runs: start, list, follow and cancel."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from kinemill.ingest.files import drop_folder
from kinemill.store import Json
from kinemill.task.overrides import nested
from kinemill.task.web_overrides import within
from kinemill.tracking.run_metrics import RunMetrics as Metrics
from kinemill_dagster.pipelines.rest.documents import (
    CancelRun,
    RunDocument,
    RunList,
    RunMetrics,
    StartRun,
)
from kinemill_dagster.pipelines.rest.run_documents import ENDED, status_of, task_of
from kinemill_dagster.pipelines.rest.service import Service, ServiceOf, user_of
from kinemill_dagster.resources.tags import OWNER, PRIORITY, RESUME

router = APIRouter(tags=["runs"])
_LISTED = 10
_MOST = 1000
_LOOK_EVERY = 1.0  # s between two looks at a run that is followed
_PATIENCE = 30.0  # s for a canceled run to end before the response


@router.post("/runs", status_code=201)
def start_run(
    body: StartRun, request: Request, service: ServiceOf, response: Response
) -> RunDocument:
    """Start a run of all assets of a task."""
    task, changes = service.overridden(body.task, body.overrides, body.presets)
    config: Json = {}
    if changes:
        config["resources"] = {task.name: {"config": nested(changes)}}
    if body.logs is not None:
        folder = within(drop_folder(task, service.home), Path(body.logs))
        config["ops"] = {f"{task.name}__recordings": {"config": {"folder": str(folder)}}}
    tags = {OWNER: body.owner or user_of(request)}
    if body.priority:
        tags[PRIORITY] = str(body.priority)
    if body.resume:
        tags[RESUME] = "true"
    run = service.launcher.start(request, task.name, config, tags)
    response.headers["Location"] = f"/api/v1/runs/{run}"
    return service.runs.document(service.runs.find(run))


@router.get("/runs")
def list_runs(
    service: ServiceOf,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = _LISTED,
    task: Annotated[str | None, Query(description="Runs of this task alone.")] = None,
) -> RunList:
    """List the newest runs."""
    return RunList(runs=service.runs.latest(limit, task))


@router.get("/runs/{run}")
def show_run(run: str, service: ServiceOf) -> RunDocument:
    """Return one run, by its id or the beginning of it."""
    return service.runs.document(service.runs.find(run))


@router.post("/runs/{run}/cancel")
def cancel_run(run: str, body: CancelRun, request: Request, service: ServiceOf) -> RunDocument:
    """Cancel a run and all its processes; answers when it has ended, after 30 s at most."""
    del body
    record = service.runs.find(run)
    service.launcher.cancel(request, record.dagster_run.run_id)
    deadline = time.monotonic() + _PATIENCE
    while status_of(record) not in ENDED and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY / 4)
        record = service.runs.find(record.dagster_run.run_id)
    return service.runs.document(record)


@router.get("/runs/{run}/metrics")
def run_metrics(run: str, service: ServiceOf) -> RunMetrics:
    """Return all metrics of a run."""
    record = service.runs.find(run)
    task = task_of(record.dagster_run)
    metrics = Metrics.of(service.home, record.dagster_run.run_id, task)
    return RunMetrics(
        run=record.dagster_run.run_id,
        task=task,
        status=status_of(record),
        total_steps=metrics.total,
        points=metrics.points,
    )


@router.get("/runs/{run}/metrics/stream", response_class=EventSourceResponse)
def stream_metrics(run: str, service: ServiceOf) -> Iterator[ServerSentEvent]:
    """Stream the metrics of a run until it has ended, as server-sent events.

    Events: `status` (the document of the run, at each change of its status), `points` (new points
    and `total_steps`), and at the end `end` (the document of the run).
    """
    record = service.runs.find(run)
    yield from _events(service, record)


def _events(service: Service, record: Any) -> Iterator[ServerSentEvent]:
    metrics = Metrics(service.home, record.dagster_run.run_id, task_of(record.dagster_run))
    last = None
    while True:
        status = status_of(record)
        if status != last and status not in ENDED:
            last = status
            yield ServerSentEvent(event="status", data=service.runs.document(record))
        if points := list(metrics.new()):
            data = {"total_steps": metrics.total, "points": points}
            yield ServerSentEvent(event="points", data=data)
        if status in ENDED:
            break
        time.sleep(_LOOK_EVERY)
        record = service.runs.find(record.dagster_run.run_id)
    yield ServerSentEvent(event="end", data=service.runs.document(record))
