"""Draft preview: conclusions of a draft, for a form in which a user edits it.

The document has the task file's content and, for each channel, its column, range, reasons, and a
curve of a log.
"""

from typing import cast

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue

from kinemill.draft.column import Column
from kinemill.draft.draft_check import CheckedDraft
from kinemill.draft.media import Medium
from kinemill.ingest.clock import Floats
from kinemill.reports.charts import thinned
from kinemill.store import Json
from kinemill.task.yaml import scalar

_POINTS = 120  # columns of a curve, of two points each
_DIGITS = 6  # significant digits of a curve


class ChannelPreview(BaseModel):
    """A channel of a draft.

    Attributes:
        channel: its name.
        columns: names in logs; the first one present is used.
        low, high: smallest and largest value in the logs, in the channel's unit; None without any.
        reasons: the draft's conclusions and evidence.
        comment: comment of the channel in the task file.
        seconds, values: curve of the first log, s and the channel's unit; empty for images.
    """

    model_config = ConfigDict(frozen=True)

    channel: str
    columns: list[str]
    low: float | None
    high: float | None
    reasons: list[str]
    comment: str
    seconds: list[float]
    values: list[float]


class DraftPreview(BaseModel):
    """A draft of a task, and the findings on its own logs.

    Attributes:
        task: content of the task file.
        channels: channels in the order of the task file.
        heading: comments above the task.
        notes: conclusions about the task as a whole, and about columns and logs that it leaves out.
        files: one entry per log, as in `kinemill data check --json`.
        dataset: why no model can be trained on the logs; None if one can.
    """

    model_config = ConfigDict(frozen=True)

    task: dict[str, JsonValue]
    channels: list[ChannelPreview]
    heading: list[str]
    notes: list[str]
    files: list[dict[str, JsonValue]]
    dataset: str | None


def preview_of(checked: CheckedDraft) -> DraftPreview:
    """Return the preview of a draft."""
    draft = checked.draft
    lines = checked.text.splitlines()
    return DraftPreview(
        task=cast(Json, scalar(checked.text, f"draft of {draft.name}")),
        channels=[*map(_of_column, draft.columns), *map(_of_medium, draft.media)],
        heading=[line.removeprefix("# ") for line in lines if line.startswith("# ")],
        notes=[
            *draft.remarks,
            *(line.removeprefix("  # ") for line in lines if line.startswith("  # ")),
            *(f"validate.{name} only warns: {why}" for name, why in draft.warned.items()),
        ],
        files=checked.entries,
        dataset=checked.problem or None,
    )


def _of_column(column: Column) -> ChannelPreview:
    samples = [column.converted(values) for _, values in column.samples.values()]
    values = np.concatenate(samples)
    seconds, curve = _curve(column)
    return ChannelPreview(
        channel=column.channel,
        columns=column.names,
        low=float(values.min()) if len(values) else None,
        high=float(values.max()) if len(values) else None,
        reasons=column.reasons,
        comment=column.comment,
        seconds=_rounded(seconds),
        values=_rounded(curve),
    )


def _of_medium(medium: Medium) -> ChannelPreview:
    return ChannelPreview(
        channel=medium.channel,
        columns=[medium.source],
        low=None,
        high=None,
        reasons=medium.notes,
        comment="; ".join(medium.notes),
        seconds=[],
        values=[],
    )


def _curve(column: Column) -> tuple[Floats, Floats]:
    """Return the finite samples of the first log, (n,) s and (n,) in the channel's unit."""
    seconds, values = next(iter(column.samples.values()))
    is_finite = np.isfinite(values) & np.isfinite(seconds)
    return thinned(seconds[is_finite], column.converted(values[is_finite]), _POINTS)


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]
