"""Report page of the validation stage: checks, accepted rows by recording, and findings.

The page is one file that opens offline. Names and texts come from logs, so jinja2 escapes them.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from kinemill.reports import templates
from kinemill.reports.components import style
from kinemill.task import Task
from kinemill.validate.check_results import CheckResult
from kinemill.validate.report_samples import SOUND, RecordingSample

BARS = 150  # most bars of a channel: neighboring episodes share one

Json = dict[str, Any]
Bars = dict[str, list[tuple[float, float]]]  # channel -> (lowest, highest)


def render(
    task: Task,
    summary: object,
    checks: list[CheckResult],
    bars: Bars,
    samples: list[RecordingSample],
    spans: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """Return the page as HTML.

    Args:
        task: channels, units and limits.
        summary: the `EpisodesSummary` of the stage.
        checks: all results.
        bars: ranges of the episodes (`kinemill.validate.report`).
        samples: recordings to show (`kinemill.validate.report_samples`).
        spans: smallest and largest value over all episodes by `/channel`; default: of the bars.
    """
    ordered = sorted(samples, key=lambda item: (not item.reasons, item.name))
    return templates.render(
        "validate/page.html.j2",
        numbers=_numbers,
        spell=_spell,
        task=task,
        summary=summary,
        style=style(),
        failed=[check for check in checks if not check.passed],
        passed=[check for check in checks if check.passed],
        strips=_strips(ordered[:SOUND]),
        channels=[
            _ranges(task, name, bars[name], (spans or {}).get(f"/{name}"))
            for name in task.columns
            if bars.get(name)
        ],
        quarantine=[item for item in samples if not item.episodes],
        partly=[item for item in samples if item.episodes and item.reasons],
    )


def _numbers(values: Json) -> str:
    """Format the numbers of a check as `name value, name value`; lists are shown separately."""
    listed = {"failing", "measured", "check", "fix"}
    return ", ".join(
        f"{name} {_spell(value)}"
        for name, value in values.items()
        if name not in listed and value is not None
    )


def _spell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " / ".join(map(_spell, value)) if isinstance(value, list) else str(value)


def _strips(samples: list[RecordingSample]) -> Json:
    """Return recordings as bars over time: (left, width) in percent of the longest one."""
    ends = [track.stop for item in samples for track in item.strip]
    end = max(ends, default=0.0) or 1.0

    def bar(start: float, stop: float) -> tuple[float, float]:
        return 100 * start / end, max(0.15, 100 * (stop - start) / end)

    rows = [
        {
            "name": item.name,
            "tracks": [bar(track.start, track.stop) for track in item.strip],
            "accepted": [bar(*span) for track in item.strip for span in track.accepted],
            "faults": [
                (fault.check, *bar(fault.start, fault.stop))
                for track in item.strip
                for fault in track.faults
            ],
        }
        for item in samples
    ]
    return {"rows": rows, "end": end}


def _ranges(
    task: Task, name: str, bars: list[tuple[float, float]], whole: tuple[float, float] | None
) -> Json:
    """Return the lowest and highest values of a channel as bars in percent of the chart."""
    channel = task.channels[name]
    lows = [bar[0] for bar in bars]
    highs = [bar[1] for bar in bars]
    low, high = whole or (min(lows), max(highs))
    span = channel.limits or (low, high)
    bottom = min(low, span[0])
    top = max(high, span[1])
    height = (top - bottom) or 1.0

    def at(value: float) -> float:
        return 100 * (top - value) / height

    width = 100 / len(lows)
    return {
        "name": name,
        "unit": channel.unit,
        "low": low,
        "high": high,
        "bottom": bottom,
        "top": top,
        "limits": [at(limit) for limit in channel.limits or ()],
        "bars": [
            (index * width, 0.8 * width, at(most), max(0.5, at(least) - at(most)))
            for index, (least, most) in enumerate(zip(lows, highs, strict=True))
        ],
    }


def ranges(table: pl.DataFrame, task: Task) -> Bars:
    """Return the lowest and highest value of each channel by episode, as bars of a chart."""
    group_size = max(1, -(-table.height // BARS))
    columns = [
        column
        for name in task.columns
        for column in (pl.col(f"{name}:min").min(), pl.col(f"{name}:max").max())
    ]
    grouped = (
        table.with_row_index()
        .group_by(pl.col("index") // group_size, maintain_order=True)
        .agg(*columns)
        .drop("index")
    )
    return {name: grouped.select(f"{name}:min", f"{name}:max").rows() for name in task.columns}
