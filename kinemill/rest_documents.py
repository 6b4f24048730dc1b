"""Documents of runs in the responses of REST: the server sends them, and commands check them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, FiniteFloat, JsonValue

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


def _has_step_and_time(point: dict[str, int | float | None]) -> dict[str, int | float | None]:
    if not isinstance(point.get("step"), int) or point.get("time") is None:
        raise ValueError("has no step or time")
    return point


class NewPoints(BaseModel):
    """New metrics of a run, as a stream sends them.

    Attributes:
        points: in the order of logging; each has `step`, `time` (s since the epoch) and values by
            name of the metric, null if not finite.
    """

    total_steps: int | None
    points: list[Annotated[dict[str, int | FiniteFloat | None], AfterValidator(_has_step_and_time)]]


class RunMetrics(NewPoints):
    """All metrics of a run."""

    run: str
    task: str
    status: RunStatus
