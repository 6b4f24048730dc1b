"""Unit outliers: recordings whose channels differ from the others by the factor of a unit."""

from collections.abc import Mapping, Sequence

import numpy as np

from kinemill.task import Task
from kinemill.validate.check_results import Outlier
from kinemill.validate.motion import pairs

_FAR = 20.0  # minimum multiple of the usual deviation; no real run exceeds the others by as much
_LEAST = 3  # minimum number of recordings for a comparison
_LOWEST = 1e-12  # replaces a deviation of zero

Statistics = Mapping[str, Sequence[float | None]]  # `<channel>:std` -> value by episode


def usual_stds(recordings: Sequence[Statistics], task: Task) -> dict[str, float]:
    """Return the median standard deviation over episodes of each channel with a derivative.

    Args:
        recordings: statistics of a sample of accepted recordings; too few have no usual deviation.
        task: its pairs of position and velocity.
    """
    if len(recordings) < _LEAST:
        return {}
    channels = dict.fromkeys(name for pair in pairs(task) for name in pair)
    values = {
        name: [std for own in recordings for std in own[f"{name}:std"] if std is not None]
        for name in channels
    }
    return {name: max(float(np.median(all_)), _LOWEST) for name, all_ in values.items() if all_}


def find_unit_outliers(
    recording: str, statistics: Statistics, usual: Mapping[str, float], task: Task
) -> list[Outlier]:
    """Return the pairs of a recording in which position and velocity are both far too large.

    The two agree with each other, so no check of one recording fails. Usually both are in degrees.

    Args:
        recording: name of the log.
        statistics: of its episodes.
        usual: usual deviations, as `usual_stds` returns them.
        task: its pairs of position and velocity.
    """
    outliers: list[Outlier] = []
    for velocity, position in pairs(task):
        if position not in usual or velocity not in usual or not statistics:
            continue
        unit = "in degrees" if task.channels[position].unit == "rad" else "in another unit"
        each = zip(statistics[f"{position}:std"], statistics[f"{velocity}:std"], strict=True)
        factor = max(
            min((one or 0.0) / usual[position], (other or 0.0) / usual[velocity])
            for one, other in each
        )
        if factor > _FAR:
            text = f"{factor:.3g} times the usual deviation, as if {unit}"
            outliers.append(Outlier(recording, [position, velocity], text))
    return outliers
