"""Quarantine of a task: list, and decide about a recording."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from kinemill.ingest.decisions import Decision
from kinemill.validate import quarantine_decisions
from kinemill.validate.recording_status import held_back
from kinemill_dagster.pipelines.rest.documents import DecideRecording, Quarantine
from kinemill_dagster.pipelines.rest.service import ServiceOf, as_user

router = APIRouter(tags=["logs"])
_MOST = 1000
_DECISIONS = {
    "release": quarantine_decisions.release,
    "reject": quarantine_decisions.reject,
    "undo": quarantine_decisions.withdraw,
}


@router.get("/tasks/{task}/quarantine")
def list_quarantine(
    task: str,
    service: ServiceOf,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Quarantine:
    """List the recordings that are not wholly accepted, with the reasons."""
    page = held_back(service.task(task), service.home, offset, limit)
    recordings = [item.to_json() for item in page.recordings]
    return Quarantine(task=task, total=page.total, pending=page.pending, recordings=recordings)


@router.post("/tasks/{task}/quarantine")
def decide_recording(
    task: str, body: DecideRecording, request: Request, service: ServiceOf
) -> Decision:
    """Release a recording from quarantine, reject it, or withdraw the decision."""
    loaded, decide = service.task(task), _DECISIONS[body.decision]
    with as_user(request):
        return decide(loaded, service.home, body.recording, body.because)
