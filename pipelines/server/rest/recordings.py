"""Recordings of a task: quarantine, decisions, and tags."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from kinemill.api.recordings import decide_quarantine
from kinemill.errors import BadInput
from kinemill.ingest.decisions import Decision
from kinemill.ingest.inspection import find_member
from kinemill.search.tags import Tag, TagDetails, add_tag, remove_tag
from kinemill.validate.recording_status import held_back
from kinemill_dagster.pipelines.server.auth.permissions import Permission, needs
from kinemill_dagster.pipelines.server.rest.bodies import DecideRecording, TagRecording
from kinemill_dagster.pipelines.server.rest.documents import Quarantine
from kinemill_dagster.pipelines.server.rest.service import ServiceOf, as_user

router = APIRouter(tags=["logs"])
_MOST = 1000


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
@needs(Permission.OPERATE)
def decide_recording(
    task: str, body: DecideRecording, request: Request, service: ServiceOf
) -> Decision:
    """Release a recording from quarantine, reject it, or withdraw the decision."""
    loaded = service.task(task)
    with as_user(request):
        return decide_quarantine(loaded, service.home, body.decision, body.recording, body.because)


@router.post("/tasks/{task}/tags")
@needs(Permission.OPERATE)
def tag_recording(task: str, body: TagRecording, request: Request, service: ServiceOf) -> Tag:
    """Set a tag on a recording or on a span of time in it, or remove a tag from it."""
    if bool(body.tag) == bool(body.remove):
        fix = "state the tag to set, or the tag to remove"
        raise BadInput("tag", "needs either `tag` or `remove`", expected="one of both", fix=fix)
    loaded = service.task(task)
    member = find_member(loaded, service.home, body.recording)
    with as_user(request):
        if body.remove:
            return remove_tag(service.home, task, [member.hash], body.remove)
        details = TagDetails(body.start_s, body.stop_s, body.note)
        return add_tag(service.home, task, [member.hash], body.tag, details)
