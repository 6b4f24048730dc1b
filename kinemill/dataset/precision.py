"""Report channels whose motion float32 cannot represent.

Packed rows, models and ONNX files are float32, about seven digits. A position of 4,500,000 m (UTM)
then moves in steps of 0.5 m, a counter at 1e9 in steps of 64. The means and deviations used here
are those of the float64 rows, before rounding.

Symbols: k channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.packed import Floats
from kinemill.errors import BadInput
from kinemill.task import Task
from kinemill.task.float_precision import FAR, JITTER, LARGE, LOST, short_number, step_at
from kinemill.task.units import factor

_COARSE = 0.01  # float32 step, relative to the row-to-row change, from which a warning is given


@dataclass(frozen=True)
class Extent:
    """Location and motion of channels, in task units, each (k,).

    Attributes:
        names: channels.
        mean: mean of all rows.
        reach: largest distance from 0.
        std: standard deviation of all rows.
        within: standard deviation of the rows about the mean of their episode.
        change: standard deviation of the change from row to row; of an action, `std`.
    """

    names: Sequence[str]
    mean: Floats
    reach: Floats
    std: Floats
    within: Floats
    change: Floats

    @property
    def step(self) -> Floats:
        """Distance of neighboring float32 values at `reach`, (k,)."""
        return np.asarray(step_at(self.reach))

    @property
    def is_changing(self) -> NDArray[np.bool_]:
        """Whether a channel changes by more than float64 rounding, (k,)."""
        return self.change > JITTER * self.reach


def extent_of_rows(names: Sequence[str], rows: Floats) -> Extent:
    """Return the extent of rows (n, k), n >= 2, of one episode."""
    change = np.diff(rows, axis=0).std(axis=0)
    std = rows.std(axis=0)
    return Extent(names, rows.mean(axis=0), np.abs(rows).max(axis=0), std, std, change)


def merge_extents(extents: Sequence[Extent]) -> Extent:
    """Return the extent of several episodes: the maximum of each quantity."""
    mean = np.mean([extent.mean for extent in extents], axis=0)
    reach, within, change = (
        np.max([getattr(extent, key) for extent in extents], axis=0)
        for key in ("reach", "within", "change")
    )
    # Law of total variance: the variance within episodes plus that of their means.
    between = np.std([extent.mean for extent in extents], axis=0)
    return Extent(extents[0].names, mean, reach, np.hypot(within, between), within, change)


def refuse_lost_motion(task: Task, extent: Extent) -> None:
    """Refuse channels whose motion is lost in float32 and would be kept with an offset.

    Raises:
        BadInput: Names the channel, its float32 step and the offset to set.
    """
    is_far = extent.reach > np.maximum(FAR * extent.within, LARGE)
    lost = extent.is_changing & is_far & (extent.step > LOST * extent.change)
    for index in np.flatnonzero(lost).tolist():
        name = extent.names[index]
        unit = task.channels[extent.names[index]].unit
        raise BadInput(
            f"{task.path or task.name}: channels.{name}",
            f"lies at up to {extent.reach[index]:.9g} {unit} and changes by "
            f"{extent.change[index]:.2g} {unit} from row to row; float32, the type of models and "
            f"ONNX files, has steps of {extent.step[index]:.2g} {unit} there",
            expected=f"steps of at most {LOST:g} of that change",
            fix=_offset_fix(task, extent, index),
        )


def _offset_fix(task: Task, extent: Extent, index: int) -> str:
    """Return the offset that preserves the motion of a channel, if a single one does."""
    name = extent.names[index]
    mean = extent.mean[index]
    std = extent.std[index]
    if extent.reach[index] <= FAR * std:
        return f"count {name} of each recording from a value near it; no single offset fits all"
    origin = short_number(float(mean), float(std))
    limits = f", and lower its limits by {origin:.15g}" if task.channels[name].limits else ""
    unit = task.channels[name].unit
    return f"count it from {origin:.15g} {unit}: {_sources(task, name, origin)}{limits}"


def _sources(task: Task, name: str, origin: float) -> str:
    """Return the `source` of a channel in YAML, with the offset that makes `origin` zero."""
    channel = task.channels[name]
    sources = list[str]()
    for source in channel.source or [None]:
        if source is None:
            sources.append(f"{{name: {name}, offset: {-origin:.15g}}}")
            continue
        scale, _ = factor(source.unit or channel.unit, channel.unit)
        offset = source.offset - origin / scale
        values = {"name": source.name, "unit": source.unit, "scale": source.scale}
        default = {"unit": None, "scale": 1.0}
        parts = [f"{key}: {value}" for key, value in values.items() if value != default.get(key)]
        sources.append(f"{{{', '.join([*parts, f'offset: {offset:.15g}'])}}}")
    listed = sources[0] if len(sources) == 1 else f"[{', '.join(sources)}]"
    return f"`source: {listed}`"


def coarse_channels(task: Task, extent: Extent) -> list[str]:
    """Return a sentence for each channel whose float32 step is close to its change per row."""
    coarse = extent.is_changing & (extent.step > _COARSE * extent.change)
    return [
        f"{name}: float32 has steps of {extent.step[index]:.2g} {task.channels[name].unit} at "
        f"{extent.reach[index]:.6g}, and the channel changes by {extent.change[index]:.2g} from "
        "row to row; a `source` with an `offset`, or a larger dt, keeps more of its motion"
        for index, name in enumerate(extent.names)
        if coarse[index]
    ]
