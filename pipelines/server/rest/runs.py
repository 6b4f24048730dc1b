"""Runs: start, list, follow and cancel."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from dagster import RunRecord
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from kinemill.ingest.files import drop_folder
from kinemill.store import Json
from kinemill.task.overrides import nested
from kinemill.task.web_overrides import within
from kinemill.tracking.run_metrics import RunMetrics as Metrics
from kinemill_dagster.pipelines.server.auth.permissions import Permission, needs
from kinemill_dagster.pipelines.server.rest.bodies import CancelRun, StartRun
from kinemill_dagster.pipelines.server.rest.documents import RunDocument, RunList, RunMetrics
from kinemill_dagster.pipelines.server.rest.run_documents import ENDED, status_of, task_of
from kinemill_dagster.pipelines.server.rest.service import NotHere, Service, ServiceOf, user_of
from kinemill_dagster.resources.tags import OWNER, PRIORITY, RESUME

router = APIRouter(tags=["runs"])
_LISTED = 10
_MOST = 1000
_POLL = 1.0  # s between two looks at a run that is followed
_PATIENCE = 30.0  # s for a canceled run to end before the response


@router.post("/runs", status_code=201)
@needs(Permission.OPERATE)
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
        if not folder.exists():
            raise NotHere(f"log {body.logs!r}", f"is not in the drop folder of {task.name}")
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
@needs(Permission.OPERATE)
def cancel_run(run: str, body: CancelRun, request: Request, service: ServiceOf) -> RunDocument:
    """Cancel a run and all its processes; answers when it has ended, after 30 s at most."""
    del body
    record = service.runs.find(run)
    service.launcher.cancel(request, record.dagster_run.run_id)
    deadline = time.monotonic() + _PATIENCE
    while status_of(record) not in ENDED and time.monotonic() < deadline:
        time.sleep(_POLL / 4)
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


def _record_of(run: str, service: ServiceOf) -> RunRecord:
    return service.runs.find(run)


@router.get("/runs/{run}/metrics/stream", response_class=EventSourceResponse)
async def stream_metrics(
    record: Annotated[RunRecord, Depends(_record_of)], service: ServiceOf
) -> AsyncIterator[ServerSentEvent]:
    """Stream the metrics of a run until it has ended, as server-sent events.

    Events: `status` (the document of the run, at each change of its status or stage), `points` (new
    points and `total_steps`), and at the end `end` (the document of the run).
    """
    # A follower holds a thread of the server while it looks, not while it waits: streams of many
    # users would otherwise use up the threads that all requests share.
    follower = _Follower(service, record)
    while True:
        for event in await run_in_threadpool(follower.look):
            yield event
        if follower.ended:
            return
        await asyncio.sleep(_POLL)


class _Follower:
    """Yields the news of one run at each poll.

    Attributes:
        ended: whether the last look saw the end of the run.
    """

    def __init__(self, service: Service, record: RunRecord) -> None:
        self._service = service
        self._run = record.dagster_run.run_id
        self._metrics = Metrics(service.home, self._run, task_of(record.dagster_run))
        self._last: tuple[str, str | None] | None = None
        self.ended = False

    def look(self) -> list[ServerSentEvent]:
        """Return the events since the last look."""
        record = self._service.runs.find(self._run)
        status = status_of(record)
        document = self._service.runs.document(record)
        self.ended = status in ENDED
        events = []
        if self._last != (status, document.stage) and not self.ended:
            self._last = status, document.stage
            events.append(ServerSentEvent(event="status", data=document))
        if points := list(self._metrics.new()):
            data = {"total_steps": self._metrics.total, "points": points}
            events.append(ServerSentEvent(event="points", data=data))
        if self.ended:
            events.append(ServerSentEvent(event="end", data=document))
        return events
