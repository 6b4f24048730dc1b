"""Logs of a task: upload into the drop folder, and check without storing."""

import hashlib
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from kinemill.errors import BadInput, KinemillError
from kinemill.ingest.files import drop_folder, is_temporary, why_ignored
from kinemill.process import run_python
from kinemill.store import Json
from kinemill.store.atomic_write import link_new
from kinemill.store.disk_space import convert_disk_errors, shortage
from kinemill.task import Task
from kinemill_dagster.pipelines.server.auth.permissions import Permission, needs
from kinemill_dagster.pipelines.server.rest.documents import LogCheck, Upload
from kinemill_dagster.pipelines.server.rest.service import ServiceOf

router = APIRouter(tags=["logs"])
LARGEST = 4 << 30  # bytes of an uploaded log
LOG_NAME = r"^[^/\\\x00-\x1f\x7f]{1,200}$"
_LONGEST = 200  # bytes of the name of a log
PATIENCE = 300.0  # s to check or draft from logs
_CHECK = "from kinemill.cli import main; main()"

PathName = Annotated[str, PathParameter(pattern=LOG_NAME)]
Name = Annotated[str, Query(pattern=LOG_NAME, description="Name of the file, with its suffix.")]
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put("/tasks/{task}/logs/{name}", status_code=201, openapi_extra=UPLOAD_BODY)
@needs(Permission.OPERATE)
async def upload_log(task: str, name: PathName, request: Request, service: ServiceOf) -> Upload:
    """Upload a log into the drop folder of a task; a log of the same name is never replaced.

    The file appears in the folder when it is complete.
    """
    loaded = await run_in_threadpool(service.task, task)
    folder = drop_folder(loaded, service.home)
    return await receive_log(request, folder, name, LARGEST, "drop folder", loaded)


async def receive_log(
    request: Request, folder: Path, name: str, largest: int, where: str, task: Task | None = None
) -> Upload:
    """Write the body of a request to a new file, which appears when it is complete.

    The folder is created if it does not exist; `largest` is in bytes.

    Raises:
        BadInput: The name is in use, the file is empty or too large, or the task would ignore it.
    """
    _check_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    _check_request(folder, request, largest)
    if (folder / name).exists():
        raise _is_in_use(name, where)
    # A hidden folder in the same file system: readers recognize a file by its name as well.
    with tempfile.TemporaryDirectory(prefix=".upload-", dir=folder) as aside:
        path = Path(aside) / name
        with path.open("wb") as file, convert_disk_errors(folder):
            size, digest = await _receive(request.stream(), file, largest)
        if not size:
            raise BadInput(f"log {name!r}", "is empty", expected="the file as the body")
        if task and (why := await run_in_threadpool(why_ignored, task, path)):
            fix = "kinemill data check FILE --task TASK shows how a log is read"
            raise BadInput(f"log {name!r}", f"would be ignored: {why}", fix=fix)
        await run_in_threadpool(_publish, path, folder / name, where)
    return Upload(name=name, bytes=size, sha256=digest)


@router.post("/tasks/{task}/check", openapi_extra=UPLOAD_BODY)
@needs(Permission.OPERATE)
async def check_log(task: str, name: Name, request: Request, service: ServiceOf) -> LogCheck:
    """Check a log against a task, without storing it."""
    path = await run_in_threadpool(service.task_file, task)
    _check_name(name)
    with tempfile.TemporaryDirectory(prefix="kinemill-check-") as folder:
        log = Path(folder) / name
        _check_request(log.parent, request, LARGEST)
        with log.open("wb") as file, convert_disk_errors(log.parent):
            await _receive(request.stream(), file, LARGEST)
        return await run_in_threadpool(_check, path, log)


def _check(task: Path, log: Path) -> LogCheck:
    """Check a log in another process."""
    command = ["-c", _CHECK, "data", "check", str(log), "--task", str(task), "--json"]
    result = read_aside(command, log.name, fix="split the log")
    files = [{**entry, "file": log.name} for entry in result["files"]]
    return LogCheck(files=files, dataset=result["dataset"])


def read_aside(command: list[str], what: str, fix: str) -> Json:
    """Read logs in another process, whose memory and time do not burden the server.

    Returns the document that the process printed.

    Raises:
        BadInput: It takes too long.
        KinemillError: It failed.
    """
    process = run_python(command, PATIENCE)
    if process is None:
        raise BadInput(what, f"cannot be read within {PATIENCE:.0f} s", fix=fix)
    try:
        return json.loads(process.stdout)
    except ValueError as error:
        lines = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        raise KinemillError(what, f"cannot be read: {lines[-1]}") from error


async def _receive(chunks: AsyncIterator[bytes], file: BinaryIO, largest: int) -> tuple[int, str]:
    """Write a body of at most `largest` bytes to a file; return its size and sha256."""
    size = 0
    digest = hashlib.sha256()
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > largest:
                raise _too_large(largest)
            digest.update(chunk)
            await run_in_threadpool(file.write, chunk)
    except ClientDisconnect as error:
        raise BadInput("the upload", "ended early; nothing was stored", fix="repeat it") from error
    file.flush()
    return size, digest.hexdigest()


def _publish(aside: Path, path: Path, folder: str) -> None:
    """Give a complete file its name, unless that exists."""
    aside.chmod(0o644)
    try:
        link_new(aside, path)
    except FileExistsError as error:
        raise _is_in_use(path.name, folder) from error


def _is_in_use(name: str, folder: str) -> BadInput:
    fix = "use another name; logs are never replaced"
    return BadInput(f"log {name!r}", f"is in the {folder} already", fix=fix)


def _too_large(largest: int) -> BadInput:
    return BadInput("the log", "is too large", expected=f"at most {largest / 2**20:,.0f} MiB")


def _check_name(name: str) -> None:
    if len(name.encode()) > _LONGEST:
        raise BadInput("the log", "has too long a name", expected=f"at most {_LONGEST} bytes")
    if name.startswith(".") or is_temporary(name):
        expected = "a name that does not begin with a dot or ~, and no suffix of temporary files"
        raise BadInput(f"log {name!r}", "would be ignored", expected=expected)


def _check_request(folder: Path, request: Request, largest: int) -> None:
    """Refuse a form, and a body that does not fit, before it is received."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        fix = "send the file itself: curl -T FILE, or curl --data-binary @FILE"
        raise BadInput("the body", "is a form, whose separators would be rows of the log", fix=fix)
    length = int(request.headers.get("content-length") or 0)
    if length > largest:
        raise _too_large(largest)
    if problem := shortage(folder, length):
        raise KinemillError(folder, problem)
