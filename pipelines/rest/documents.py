"""Bodies of requests to REST, and documents of its responses that no stage of the chain has.

The guard validates a body with the same model as the server, and forwards what the model accepted.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

TASK_NAME = r"^[a-z][a-z0-9_]*$"
ROBOT_NAME = r"^[\w][\w .:-]{0,99}$"
PRIORITIES = 1000  # largest priority of a run, either way

TaskName = Annotated[str, Field(pattern=TASK_NAME, max_length=100)]
Reason = Annotated[str, Field(max_length=2000, description="Reason, for the audit log.")]
Number = Annotated[int, Field(ge=1, description="Number of a version.")]
RunStatus = Literal["queued", "starting", "running", "canceling", "completed", "failed", "canceled"]


class Body(BaseModel):
    """Base class of request bodies: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class StartRun(Body):
    """A run of all assets of a task."""

    task: TaskName
    overrides: dict[str, JsonValue] = Field(
        default={}, description="As `kinemill run --set`: dotted keys, or nested as in a task file."
    )
    presets: list[Annotated[str, Field(max_length=200)]] = Field(
        default=[], max_length=50, description="Each as `part=name`; overrides come after them."
    )
    logs: str | None = Field(
        default=None, max_length=1000, description="Log or folder in the drop folder; default: all."
    )
    priority: int = Field(default=0, ge=-PRIORITIES, le=PRIORITIES)
    resume: bool = Field(default=False, description="Resume the training that stopped.")
    owner: str | None = Field(
        default=None, max_length=100, description="Launch for another user; admins only."
    )


class CheckSettings(Body):
    """Overrides and presets to check against a task, as a run would use them."""

    overrides: dict[str, JsonValue] = {}
    presets: list[Annotated[str, Field(max_length=200)]] = Field(default=[], max_length=50)


class CancelRun(Body):
    """Cancel a run; there is nothing to set."""


class Promote(Body):
    """Make a version champion."""

    version: Number
    expected: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Refuse if this is not the champion; 0 means that there is none."
    )
    force: bool = Field(default=False, description="Override a refusal of the gate; admins only.")
    why: Reason = ""


class Approve(Body):
    """Approve a version, and run the gate again."""

    version: Number
    breaking: bool = Field(
        default=False, description="Accept an interface that differs from the champion's."
    )
    why: Reason = ""


class Rollback(Body):
    """Roll back to an earlier champion."""

    to: Number | None = Field(default=None, description="Default: the champion before.")
    expected: Annotated[int, Field(ge=0)] | None = None
    why: Reason = ""


class DecideRecording(Body):
    """Release a recording from quarantine, reject it, or withdraw the decision."""

    decision: Literal["release", "reject", "undo"]
    recording: str = Field(
        min_length=1, max_length=1000, description="Name, content hash or its beginning."
    )
    because: Reason = ""


class Installation(Body):
    """A version that a robot installed."""

    robot: Annotated[str, Field(pattern=ROBOT_NAME)]


class RunDocument(BaseModel):
    """Status of a run.

    Attributes:
        id: its id in Dagster.
        step, total_steps, loss: of its training; None before it begins.
        parameters: overrides of the task, by dotted key.
        error: why it failed; None otherwise.
        model: address of the version that it registered or found cached, `models:/TASK/NUMBER`.
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
    resumed_by: str | None
    created_at: str
    completed_at: str | None


class RunList(BaseModel):
    """Runs, newest first."""

    runs: list[RunDocument]


class RunMetrics(BaseModel):
    """Metrics of a run.

    Attributes:
        points: in the order of logging; each has `step`, `time` (s since the epoch) and values by
            name of the metric, null if not finite.
    """

    run: str
    task: str
    status: RunStatus
    total_steps: int | None
    points: list[dict[str, JsonValue]]


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
    """An error: what is wrong, what was expected, and what to do."""

    message: str
