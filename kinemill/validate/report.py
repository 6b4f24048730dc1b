"""The stage's own page: checks, what was kept of each recording, and why not more.

One file that opens offline. Everything on it is text from robots and people, so jinja2 escapes it;
nothing is fetched.
"""

from functools import cache
from pathlib import Path
from typing import Any

from kinemill.reports.components import style
from kinemill.task import Task
from kinemill.validate.check_results import CheckResult
from kinemill.validate.ranges import Bars
from kinemill.validate.report_samples import SOUND

Json = dict[str, Any]


def render(
    task: Task, summary: Json, checks: list[CheckResult], bars: Bars, drawn: list[Json]
) -> str:
    """Return the page as HTML.

    Args:
        task: gives channels, units and limits.
        summary: the stage's numbers.
        checks: every result.
        bars: what `kinemill.validate.ranges` says of the episodes.
        drawn: the recordings that `kinemill.validate.report_samples` chose.
    """
    ordered = sorted(drawn, key=lambda item: (not item["reasons"], item["name"]))
    return _template().render(
        task=task,
        summary=summary,
        style=style(),
        found=[check for check in checks if not check.passed],
        passed=[check for check in checks if check.passed],
        strips=_strips(ordered[:SOUND]),
        channels=[_ranges(task, name, bars[name]) for name in task.columns if bars.get(name)],
        quarantine=[item for item in drawn if not item["episodes"]],
        partly=[item for item in drawn if item["episodes"] and item["reasons"]],
    )


@cache
def _template() -> Any:
    """Return the page's template; compiling it costs more than filling it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"numbers": spell_numbers, "spelled": _spell}
    return pages.get_template("page.html.j2")


def spell_numbers(values: Json) -> str:
    """Spell what a check found as `name value, name value`; the rest is listed apart."""
    aside = {"failing", "measured", "check", "fix"}
    return ", ".join(
        f"{name} {_spell(value)}"
        for name, value in values.items()
        if name not in aside and value is not None
    )


def _spell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " / ".join(map(_spell, value)) if isinstance(value, list) else str(value)


def _strips(drawn: list[Json]) -> Json:
    """Return the recordings as bars over time: (left, width) in percent of the longest one."""
    ends = [track["track"][1] for item in drawn for track in item["strip"]]
    end = max(ends, default=0.0) or 1.0

    def bar(span: list[float]) -> tuple[float, float]:
        return 100 * span[0] / end, max(0.15, 100 * (span[1] - span[0]) / end)

    rows = [
        {
            "name": item["name"],
            "tracks": [bar(track["track"]) for track in item["strip"]],
            "kept": [bar(span) for track in item["strip"] for span in track["kept"]],
            "faults": [
                (fault[0], *bar(fault[1:])) for track in item["strip"] for fault in track["faults"]
            ],
        }
        for item in drawn
    ]
    return {"rows": rows, "end": end}


def _ranges(task: Task, name: str, bars: list[list[float]]) -> Json:
    """Return a channel's lowest and highest values, as bars in percent of the picture."""
    channel = task.channels[name]
    lows, highs = [bar[0] for bar in bars], [bar[1] for bar in bars]
    low, high = min(lows), max(highs)
    span = channel.limits or (low, high)
    bottom, top = min(low, span[0]), max(high, span[1])
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
