"""Drafts of new tasks: start one, upload logs, build, edit, check; and create the task."""

import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool

from kinemill.draft.draft_edits import edit_task
from kinemill.draft.draft_preview import DraftPreview
from kinemill.draft.draft_process import LOGS, ORDER, Order
from kinemill.draft.task_file import create_task_file, spell_task
from kinemill.errors import BadInput, KinemillError, TaskError, Unreachable
from kinemill.ingest.files import drop_folder
from kinemill.store import Json
from kinemill.store.project import tasks_folder
from kinemill.task import list_tasks, make_task
from kinemill_dagster.pipelines.server.auth.permissions import Permission, needs
from kinemill_dagster.pipelines.server.rest.bodies import (
    MOST_CHANNELS,
    BuildDraft,
    CheckDraft,
    CreateTask,
    DraftId,
    EditDraft,
    StartDraft,
)
from kinemill_dagster.pipelines.server.rest.documents import (
    CreatedTask,
    DraftDocument,
    EditedTask,
    FieldProblem,
    LogCheck,
    LogFolders,
    Upload,
)
from kinemill_dagster.pipelines.server.rest.draft_store import Draft, open_draft, start_draft
from kinemill_dagster.pipelines.server.rest.log_folders import (
    describe_folder,
    log_folders,
    resolve_choice,
)
from kinemill_dagster.pipelines.server.rest.logs import (
    UPLOAD_BODY,
    PathName,
    read_aside,
    receive_log,
)
from kinemill_dagster.pipelines.server.rest.service import ServiceOf, user_of
from kinemill_dagster.resources.tags import OWNER

router = APIRouter(tags=["drafts"])
_AT_ONCE = 2  # processes that draft or check
_WAIT = 5.0  # s for one of them to end; a request that waits holds a thread of the server
_MODULE = "kinemill.draft.draft_process"
_slots = threading.BoundedSemaphore(_AT_ONCE)

Id = Annotated[DraftId, PathParameter()]


@router.get("/logs")
def list_log_folders(service: ServiceOf) -> LogFolders:
    """List the drop folders of the server with their first 200 files each."""
    folders = log_folders(service.home).items()
    listed = [describe_folder(name, folder) for name, folder in folders if folder.is_dir()]
    return LogFolders(folders=[folder for folder in listed if folder.total])


@router.post("/drafts", status_code=201)
@needs(Permission.OPERATE)
def create_draft(body: StartDraft, request: Request, service: ServiceOf) -> DraftDocument:
    """Start the draft of a new task, from logs of drop folders and from uploads that follow.

    Drafts are deleted after a day; of a user, the five newest stay.
    """
    _check_free(body.name)
    files = [resolve_choice(service.home, choice) for choice in body.logs]
    draft = start_draft(service.home, user_of(request), body)
    try:
        for choice_files in files:
            for name, path in choice_files.items():
                draft.take(name, path)
    except KinemillError:
        draft.delete()
        raise
    return draft.document()


@router.get("/drafts/{draft}")
def show_draft(draft: Id, request: Request, service: ServiceOf) -> DraftDocument:
    """Return a draft of your own."""
    return open_draft(service.home, draft, user_of(request)).document()


@router.put("/drafts/{draft}/logs/{name}", status_code=201, openapi_extra=UPLOAD_BODY)
@needs(Permission.OPERATE)
async def upload_draft_log(
    draft: Id, name: PathName, request: Request, service: ServiceOf
) -> Upload:
    """Upload a log of a draft: at most 200 logs and 1 GiB for a draft."""
    opened = await run_in_threadpool(open_draft, service.home, draft, user_of(request))
    room = await run_in_threadpool(opened.room)
    return await receive_log(request, opened.logs, name, room, "draft")


@router.post("/drafts/{draft}/build")
@needs(Permission.OPERATE)
def build_draft(draft: Id, body: BuildDraft, request: Request, service: ServiceOf) -> DraftDocument:
    """Draft the task from the logs: channels, roles, units and relations, each with its reason.

    Answers when it is finished, after 5 minutes at most. The first 40 logs are read.
    """
    del body
    opened = open_draft(service.home, draft, user_of(request))
    record = opened.record
    result = _run(opened, Order(name=record.name, learn=record.learn, rate=record.rate))
    preview = DraftPreview.model_validate(result)
    if len(preview.channels) > MOST_CHANNELS:
        problem = f"has {len(preview.channels)} channels"
        fix = "use kinemill new on the server"
        raise BadInput("the draft", problem, expected=f"at most {MOST_CHANNELS}", fix=fix)
    opened.keep_preview(preview)
    return opened.document()


@router.post("/drafts/{draft}/edit")
@needs(Permission.OPERATE)
def edit_draft(draft: Id, body: EditDraft, request: Request, service: ServiceOf) -> EditedTask:
    """Return the task file of a draft with edits, and its problems; nothing is stored."""
    opened = open_draft(service.home, draft, user_of(request))
    task = edit_task(opened.require_preview().task, body.channels, body.settings)
    try:
        make_task(task, web=True)
    except TaskError as error:
        fields = error.fields or [("", problem) for problem in error.problems]
        problems = [FieldProblem(key=key, message=message) for key, message in fields]
        return EditedTask(task=task, problems=problems)
    return EditedTask(task=task, problems=[])


@router.post("/drafts/{draft}/check")
@needs(Permission.OPERATE)
def check_draft(draft: Id, body: CheckDraft, request: Request, service: ServiceOf) -> LogCheck:
    """Check the logs of a draft with an edited task: what validation would cut, and why.

    Answers when it is finished, after 5 minutes at most.
    """
    opened = open_draft(service.home, draft, user_of(request))
    make_task(body.task, web=True)
    order = Order(name=opened.record.name, task=body.task, home=str(service.home.root))
    return LogCheck.model_validate(_run(opened, order))


@router.post("/tasks", status_code=201)
@needs(Permission.PROMOTE)  # a task file sets the rules of its gate
def create_task(body: CreateTask, request: Request, service: ServiceOf) -> CreatedTask:
    """Create a task file, and load it; a task is never replaced.

    The task cannot name code, files or machines. The logs of a draft go into its drop folder, and a
    run on them starts.
    """
    task = make_task(body.task, web=True)
    _check_free(task.name)
    draft = open_draft(service.home, body.draft, user_of(request)) if body.draft else None
    drop = drop_folder(task, service.home)
    if draft:
        draft.check_target(drop)
    create_task_file(tasks_folder() / f"{task.name}.yaml", _text(body.task, draft))
    problem = None
    run = None
    try:
        service.launcher.load(request, task.name)
        if draft:
            # Before the logs arrive, or the new sensor would start a second run on them.
            tags = {OWNER: user_of(request)}
            run = service.launcher.start(request, task.name, {}, tags)
    except KinemillError as error:
        problem = str(error)
    logs = draft.move_logs(drop) if draft else 0
    if draft:
        draft.delete()
    return CreatedTask(name=task.name, logs=logs, run=run, problem=problem)


def _text(task: Json, draft: Draft | None) -> str:
    """Format a task file; unedited channels keep the comments of the draft."""
    preview = draft.preview() if draft else None
    if preview is None:
        return spell_task(task, {})
    old = preview.task["channels"]
    new = task.get("channels")
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return spell_task(task, {})
    comments = {
        channel.channel: channel.comment
        for channel in preview.channels
        if channel.channel in new and old.get(channel.channel) == new[channel.channel]
    }
    return spell_task(task, comments, preview.heading)


def _check_free(name: str) -> None:
    if name in list_tasks():
        raise BadInput(f"task {name!r}", "already exists", fix="choose another name")


def _run(draft: Draft, order: Order) -> Json:
    """Draft or check in another process.

    Raises:
        BadInput: The logs cannot be used.
        Unreachable: Others draft or check at the moment.
    """
    with _slot(), tempfile.TemporaryDirectory(prefix="kinemill-draft-") as scratch:
        folder = Path(scratch)
        (folder / LOGS).symlink_to(draft.logs, target_is_directory=True)
        (folder / ORDER).write_text(order.model_dump_json())
        command = ["-m", _MODULE, str(folder)]
        result = read_aside(command, "the draft", "use fewer or shorter logs for the draft")
    if problem := result.get("problem"):
        raise BadInput("draft", problem)
    return result["result"]


@contextmanager
def _slot() -> Generator[None]:
    if not _slots.acquire(timeout=_WAIT):
        raise Unreachable("the server", f"is busy with {_AT_ONCE} other drafts", fix="try again")
    try:
        yield
    finally:
        _slots.release()
