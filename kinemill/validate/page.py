"""The stage's own page: checks, what was kept of each recording, and why not more.

One file that opens offline. Everything on it is text from robots and people, so jinja2 escapes it;
nothing is fetched.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.drawing.pieces import style
from kinemill.spec import Task
from kinemill.validate.checks import CheckResult
from kinemill.validate.ranges import joined

RECORDINGS = 60  # strips drawn, those with something dropped first
QUARANTINED = 200  # recordings listed with their reasons
REASONS = 8  # of one recording that are spelled out

Json = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A recording on the page: its name and reasons, and when it was kept and faulty, in s."""

    entry: Json
    strip: list[Json]

    @property
    def whole(self) -> bool:
        """Whether all that was read of it was kept."""
        return not self.entry["reasons"]

    @property
    def kept(self) -> bool:
        """Whether any of it was kept."""
        return any(track["kept"] for track in self.strip)

    @property
    def end(self) -> float:
        """Its last stamp, s."""
        return max((track["track"][1] for track in self.strip), default=0.0)


def render(
    task: Task, summary: Json, checks: list[CheckResult], bars: list[Json], drawn: list[Drawn]
) -> str:
    """Return the page as HTML.

    Args:
        task: gives channels, units and limits.
        summary: the stage's numbers.
        checks: every result.
        bars: what `kinemill.validate.ranges` says of each shard.
        drawn: recordings, those with something dropped first.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"numbers": spell_numbers, "spelled": _spell}
    chosen = sorted(drawn, key=lambda item: (item.whole, item.entry["name"]))
    quarantine = [item.entry for item in drawn if not item.kept]
    partly = [item.entry for item in drawn if item.kept and not item.whole]
    return pages.get_template("page.html.j2").render(
        task=task,
        summary=summary,
        style=style(),
        reasons_shown=REASONS,
        found=[check for check in checks if not check.passed],
        passed=[check for check in checks if check.passed],
        strips=_strips(chosen[:RECORDINGS]),
        channels=[
            _ranges(task, name, found) for name in task.columns if (found := joined(bars, name))
        ],
        quarantine=quarantine[:QUARANTINED],
        partly=partly[:QUARANTINED],
    )


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


def _strips(drawn: list[Drawn]) -> Json:
    """Return the recordings as bars over time: (left, width) in percent of the longest one."""
    end = max((item.end for item in drawn), default=0.0) or 1.0

    def bar(span: list[float]) -> tuple[float, float]:
        return 100 * span[0] / end, max(0.15, 100 * (span[1] - span[0]) / end)

    rows = [
        {
            "name": item.entry["name"],
            "tracks": [bar(track["track"]) for track in item.strip],
            "kept": [bar(span) for track in item.strip for span in track["kept"]],
            "faults": [
                (fault[0], *bar(fault[1:])) for track in item.strip for fault in track["faults"]
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
    shown = channel.limits or (low, high)
    bottom, top = min(low, shown[0]), max(high, shown[1])
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
