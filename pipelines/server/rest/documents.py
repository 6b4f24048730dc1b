"""Documents of the responses of REST that no stage of the chain has."""

from typing import Literal

from pydantic import BaseModel, FiniteFloat, JsonValue

from kinemill.draft.draft_preview import DraftPreview

RunStatus = Literal["queued", "starting", "running", "canceling", "completed", "failed", "canceled"]


class RunDocument(BaseModel):
    """Status of a run.

    Attributes:
        id: its id in Dagster.
        step, total_steps, loss: of its training; None before it begins.
        parameters: overrides of the task, by dotted key.
        error: why it failed; None otherwise.
        model: address of the version that it registered or found cached, `models:/TASK/NUMBER`.
        stage: asset under way with its last message, or None.
        why: why it started by itself; None if a user started it.
        waits_for: what a queued run waits for; None otherwise.
        resumed_by: id of the run that resumed it after a failure.
        created_at, completed_at: ISO 8601, UTC.
    """

    id: str
    task: str
    status: RunStatus
    step: int | None
    total_steps: int | None
    loss: float | None
    parameters: dict[str, JsonValue]
    error: str | None
    model: str | None
    owner: str | None
    stage: str | None
    why: str | None
    waits_for: str | None
    resumed_by: str | None
    created_at: str
    completed_at: str | None


class RunList(BaseModel):
    """Runs, newest first."""

    runs: list[RunDocument]


class RunMetrics(BaseModel):
    """All metrics of a run.

    Attributes:
        points: in the order of logging; each has `step`, `time` (s since the epoch) and values by
            name of the metric, null if not finite.
    """

    run: str
    task: str
    status: RunStatus
    total_steps: int | None
    points: list[dict[str, int | FiniteFloat | None]]


class TaskLine(BaseModel):
    """A task in the list.

    Attributes:
        problem: why the task file cannot be used; None if it can.
        learn: `learn.type`.
        versions: number of registered versions.
        champion: number of the champion; None without one.
        last_run: its newest run; None without one.
    """

    name: str
    problem: str | None
    learn: str | None
    versions: int
    champion: int | None
    last_run: RunDocument | None


class TaskList(BaseModel):
    """The tasks of the project, by name."""

    tasks: list[TaskLine]


class TaskDocument(TaskLine):
    """A task: its settings with defaults, as a task file has them."""

    settings: dict[str, JsonValue]


class Settings(BaseModel):
    """Settings of a task with overrides, as a task file has them."""

    settings: dict[str, JsonValue]


class Upload(BaseModel):
    """An uploaded log: its name in the drop folder, size, and sha256."""

    name: str
    bytes: int
    sha256: str


class LogCheck(BaseModel):
    """Result of checking a log: what ingestion and validation would do with it.

    Attributes:
        files: as `kinemill data check --json` lists them.
        dataset: why no model can be trained on it; None if one can.
    """

    files: list[dict[str, JsonValue]]
    dataset: str | None


class LogFile(BaseModel):
    """A file in a drop folder; `modified_at` is ISO 8601, UTC."""

    name: str
    bytes: int
    modified_at: str


class LogFolder(BaseModel):
    """A drop folder: the one of a task, or another folder of `logs/` in the home.

    Attributes:
        folder: its name.
        total: number of files; `files` lists the first of them, by name.
    """

    folder: str
    total: int
    files: list[LogFile]


class LogFolders(BaseModel):
    """The drop folders with files, by name."""

    folders: list[LogFolder]


class DraftDocument(BaseModel):
    """A draft of a new task.

    Attributes:
        id: for the paths of its operations.
        name, learn, rate: of the task to be.
        created_at: ISO 8601, UTC; the draft is deleted a day later.
        logs: its logs.
        preview: conclusions from them; None before `build`.
    """

    id: str
    name: str
    learn: str
    rate: float | None
    created_at: str
    logs: list[LogFile]
    preview: DraftPreview | None


class FieldProblem(BaseModel):
    """A problem of a task; `key` is dotted, such as `channels.arm.limits`."""

    key: str
    message: str


class EditedTask(BaseModel):
    """Content of an edited task file; it is valid if there are no problems."""

    task: dict[str, JsonValue]
    problems: list[FieldProblem]


class CreatedTask(BaseModel):
    """A new task.

    Attributes:
        name: of the task.
        logs: number of logs that were put into its drop folder.
        run: id of the run on the logs of a draft; None without a draft, and with a problem.
        problem: why the server did not load or start the task; None if it did.
    """

    name: str
    logs: int
    run: str | None
    problem: str | None


class Quarantine(BaseModel):
    """Recordings that are not wholly accepted.

    Attributes:
        total: number of all of them.
        pending: number of recordings that are not validated yet.
        recordings: as `kinemill data quarantine list --json` lists them.
    """

    task: str
    total: int
    pending: int
    recordings: list[dict[str, JsonValue]]


class ModelLine(BaseModel):
    """A task with versions: number of its champion, and of all versions."""

    task: str
    champion: int | None
    versions: int


class ModelList(BaseModel):
    """Registered models, by task."""

    models: list[ModelLine]


class ResolvedVersion(BaseModel):
    """The version that an alias names.

    Attributes:
        version: its number.
        sums: sha256 of its `sha256sums`.
        provisional: why the champion is provisional; "" if it is not.
        files: sha256 by file name.
    """

    task: str
    version: int
    sums: str
    provisional: str
    files: dict[str, str]


class Problem(BaseModel):
    """An error: the problem, the expectation, and the fix.

    Attributes:
        message: for a terminal; the fix can be a command.
        text: for a web page, without commands.
    """

    message: str
    text: str
