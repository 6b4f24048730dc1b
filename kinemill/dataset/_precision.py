"""Report channels whose motion float32 cannot hold.

Packed rows, models and ONNX files are float32, which holds about seven digits. A position of
4,500,000 m (UTM) then moves in steps of 0.5 m, a counter at 1e9 in steps of 64. The means and
deviations compared here are those of the float64 rows, before anything is rounded.

Symbols: k channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.task import Task
from kinemill.task.float_precision import FAR, JITTER, LARGE, LOST, short_number, step_at
from kinemill.task.units import factor

_COARSE = 0.01  # float32 steps that are a warning, in deviations of the change from row to row

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Extent:
    """Where channels lie and how much they move, in task units, each (k,).

    Attributes:
        names: of the channels.
        middle: mean of all rows.
        reach: largest distance from 0.
        spread: standard deviation of all rows.
        within: standard deviation of the rows about the mean of their episode.
        change: standard deviation of the change from row to row; of an action, `spread`.
    """

    names: Sequence[str]
    middle: Floats
    reach: Floats
    spread: Floats
    within: Floats
    change: Floats

    @property
    def step(self) -> Floats:
        """Distance of neighboring float32 values at `reach`, (k,)."""
        return np.asarray(step_at(self.reach))

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Whether a channel changes by more than rounding in float64 does, (k,)."""
        return self.change > JITTER * self.reach


def extent_of_rows(names: Sequence[str], rows: Floats) -> Extent:
    """Return the extent of rows (n, k), n >= 2, of one episode."""
    change = np.diff(rows, axis=0).std(axis=0)
    spread = rows.std(axis=0)
    return Extent(names, rows.mean(axis=0), np.abs(rows).max(axis=0), spread, spread, change)


def widest(extents: Sequence[Extent]) -> Extent:
    """Return the extent of channels over several episodes: the largest of each quantity."""
    middle = np.mean([one.middle for one in extents], axis=0)
    reach, within, change = (
        np.max([getattr(one, of) for one in extents], axis=0)
        for of in ("reach", "within", "change")
    )
    apart = np.std([one.middle for one in extents], axis=0)
    return Extent(extents[0].names, middle, reach, np.hypot(within, apart), within, change)


def refuse_lost_motion(task: Task, extent: Extent) -> None:
    """Refuse channels whose motion float32 loses and an offset keeps.

    Raises:
        BadInput: names the channel, its float32 step and the offset to set.
    """
    away = extent.reach > np.maximum(FAR * extent.within, LARGE)
    lost = extent.moving & away & (extent.step > LOST * extent.change)
    for place in np.flatnonzero(lost).tolist():
        name, unit = extent.names[place], task.channels[extent.names[place]].unit
        raise BadInput(
            f"{task.path or task.name}: channels.{name}",
            f"lies at up to {extent.reach[place]:.9g} {unit} and changes by "
            f"{extent.change[place]:.2g} {unit} from row to row; float32, in which models and ONNX "
            f"files hold it, has steps of {extent.step[place]:.2g} {unit} there",
            expected=f"steps of at most {LOST:g} of that change",
            fix=_fix(task, extent, place),
        )


def _fix(task: Task, extent: Extent, place: int) -> str:
    """Return the offset that keeps the motion of a channel, if one offset does."""
    name, middle, spread = extent.names[place], extent.middle[place], extent.spread[place]
    if extent.reach[place] <= FAR * spread:
        return f"count {name} of each recording from a place near it; no single offset keeps all"
    origin = short_number(float(middle), float(spread))
    limits = f", and lower its limits by {origin:.15g}" if task.channels[name].limits else ""
    unit = task.channels[name].unit
    return f"count it from {origin:.15g} {unit}: {_offsets(task, name, origin)}{limits}"


def coarse_channels(task: Task, extent: Extent) -> list[str]:
    """Return a sentence for each channel whose float32 step is near its change from row to row."""
    coarse = extent.moving & (extent.step > _COARSE * extent.change)
    return [
        f"{name}: float32 has steps of {extent.step[place]:.2g} {task.channels[name].unit} at "
        f"{extent.reach[place]:.6g}, and the channel changes by {extent.change[place]:.2g} from "
        "row to row; a `source` with an `offset`, or a larger dt, keeps more of its motion"
        for place, name in enumerate(extent.names)
        if coarse[place]
    ]


def _offsets(task: Task, name: str, origin: float) -> str:
    """Spell the sources of a channel with the offset that makes `origin` zero."""
    channel, spelled = task.channels[name], list[str]()
    for source in channel.source or [None]:
        if source is None:
            spelled.append(f"{{name: {name}, offset: {-origin:.15g}}}")
            continue
        scale, _ = factor(source.unit or channel.unit, channel.unit)
        own = source.offset - origin / scale
        parts = {"name": source.name, "unit": source.unit, "scale": source.scale}
        default = {"unit": None, "scale": 1.0}
        kept = [f"{key}: {value}" for key, value in parts.items() if value != default.get(key)]
        spelled.append(f"{{{', '.join([*kept, f'offset: {own:.15g}'])}}}")
    both = spelled[0] if len(spelled) == 1 else f"[{', '.join(spelled)}]"
    return f"`source: {both}`"
