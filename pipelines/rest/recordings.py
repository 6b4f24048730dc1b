"""Recordings of a task: tags."""

from fastapi import APIRouter, Request

from kinemill.errors import BadInput
from kinemill.ingest.inspection import find_member
from kinemill.search.tags import Tag, TagDetails, add_tag, remove_tag
from kinemill_dagster.pipelines.rest.documents import TagRecording
from kinemill_dagster.pipelines.rest.service import ServiceOf, as_user

router = APIRouter(tags=["logs"])


@router.post("/tasks/{task}/tags")
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
