"""Bodies of requests to REST.

The guard validates a body with the same model as the server, and forwards the validated body.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from kinemill.draft.draft_edits import ChannelRow

TASK_NAME = r"^[a-z][a-z0-9_]*$"
LOG_PATH = r"^[^\\\x00-\x1f\x7f]+$"
PRIORITIES = 1000  # largest priority of a run, either way
MOST_CHANNELS = 500  # of a draft
_LONGEST = 100  # letters of the name of a task

TaskName = Annotated[str, Field(pattern=TASK_NAME, max_length=_LONGEST)]
DraftId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Reason = Annotated[str, Field(max_length=2000, description="Reason, for the audit log.")]
Presets = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=50)]
RecordingName = Annotated[
    str,
    Field(min_length=1, max_length=1000, description="Name, content hash or its beginning."),
]
Number = Annotated[int, Field(ge=1, description="Number of a version.")]


class Body(BaseModel):
    """Base class of request bodies: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class StartRun(Body):
    """A run of all assets of a task."""

    task: TaskName
    overrides: dict[str, JsonValue] = Field(
        default={}, description="As `kinemill run --set`: dotted keys, or nested as in a task file."
    )
    presets: Presets = Field(
        default=[], description="Each as `part=name`; overrides come after them."
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
    presets: Presets = []


class LogChoice(Body):
    """Logs that are in a drop folder."""

    folder: Annotated[str, Field(max_length=200, description="As `GET /logs` lists it.")]
    names: list[Annotated[str, Field(pattern=LOG_PATH, max_length=1000)]] = Field(
        default=[], max_length=1000, description="Files or folders in it; default: all."
    )


class StartDraft(Body):
    """Start the draft of a new task, from logs of drop folders and from uploads that follow."""

    name: TaskName
    learn: Literal["dynamics", "imitation", "motion"] = "dynamics"
    rate: Annotated[float, Field(gt=0.0, le=1e9)] | None = Field(
        default=None, description="Sampling rate of logs without timestamps, Hz."
    )
    logs: list[LogChoice] = Field(default=[], max_length=50)


class BuildDraft(Body):
    """Draft the task from the logs of the draft; there is nothing to set."""


class EditDraft(Body):
    """Edits of a draft: the rows of its channels, and other settings."""

    channels: list[ChannelRow] = Field(
        max_length=MOST_CHANNELS,
        description="Channels to keep; names of parents are those of the draft.",
    )
    settings: dict[str, JsonValue] = Field(
        default={}, max_length=2000, description="By dotted key, as `overrides` of a run."
    )


class CheckDraft(Body):
    """Check the logs of a draft with an edited task."""

    task: dict[str, JsonValue] = Field(description="Content of the task file.")


class CreateTask(Body):
    """Create a task file."""

    task: dict[str, JsonValue] = Field(description="Content of the task file.")
    draft: DraftId | None = Field(
        default=None, description="Draft whose logs become the first logs of the task."
    )

    @field_validator("task")
    @classmethod
    def _has_name(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        name = value.get("task")
        if not (isinstance(name, str) and re.fullmatch(TASK_NAME, name) and len(name) <= _LONGEST):
            message = f"`task.task` must be its name, {TASK_NAME}, of at most {_LONGEST} letters"
            raise ValueError(message)
        return value

    @property
    def name(self) -> str:
        """Name of the task."""
        return str(self.task["task"])


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


class RecordTrials(Body):
    """Record counted trials of a version on a robot, and run the gate again."""

    version: Number
    success: Annotated[int, Field(ge=0, description="Number of successful trials.")]
    of: Annotated[int, Field(ge=1, le=1_000_000, description="Number of trials.")]
    note: Reason = ""


class Rollback(Body):
    """Roll back to an earlier champion."""

    to: Number | None = Field(default=None, description="Default: the champion before.")
    expected: Annotated[int, Field(ge=0)] | None = None
    why: Reason = ""


class DecideRecording(Body):
    """Release a recording from quarantine, reject it, or withdraw the decision."""

    decision: Literal["release", "reject", "undo"]
    recording: RecordingName
    because: Reason = ""


class TagRecording(Body):
    """Set a tag on a recording, or remove one."""

    recording: RecordingName
    tag: str = Field(default="", max_length=100, description="Text of the tag to set.")
    remove: str = Field(default="", max_length=100, description="Tag to remove; in place of `tag`.")
    note: str = Field(default="", max_length=2000, description="Further text.")
    start_s: float | None = Field(
        default=None, ge=0.0, le=1e9, description="First time it is about, s; default: the start."
    )
    stop_s: float | None = Field(
        default=None, ge=0.0, le=1e9, description="Last time it is about, s; default: the end."
    )
