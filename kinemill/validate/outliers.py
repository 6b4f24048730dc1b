"""Outliers: recordings whose units or actions differ from those of a sample of recordings.

The sample is the first recordings by content hash. Hashes are random with respect to content, so it
is as good as any other one, and it depends on the set of recordings alone. A new recording among
many rarely enters the sample. Then all recordings are compared again; otherwise only it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinemill.store import digest
from kinemill.task import Task
from kinemill.validate.action_responses import (
    Responding,
    ResponseReference,
    find_action_outliers,
    make_response_reference,
)
from kinemill.validate.check_results import ACTION_OUTLIERS, UNIT_OUTLIERS, Outlier
from kinemill.validate.motion import velocity_pairs
from kinemill.validate.totals import Item

SAMPLE = 512  # recordings with tracks

FoundOutlier = tuple[str, str, Outlier]  # check, content hash, outlier
_FAR = 20.0  # minimum multiple of the usual deviation; no real run exceeds the others by as much
_LEAST = 3  # minimum number of recordings for a comparison
_LOWEST = 1e-12  # replaces a deviation of zero

Statistics = Mapping[str, Sequence[float | None]]  # `<channel>:std` -> value by episode


@dataclass(frozen=True)
class OutlierReference:
    """What recordings are compared with.

    Attributes:
        digest: of the sample.
        stds: usual standard deviation of each channel.
        responses: usual responses to actions; None without enough recordings.
    """

    digest: str
    stds: dict[str, float]
    responses: ResponseReference | None


def make_reference(task: Task, sample: Sequence[Item]) -> OutlierReference:
    """Return the reference of a sample, given in the order of content hashes."""
    accepted = [(row, details) for row, details in sample if row.episodes]
    products = {row.hash: details.products for row, details in accepted if details.products}
    return OutlierReference(
        digest([row.digest.hex() for row, _ in sample]),
        usual_stds([details.statistics for _, details in accepted], task),
        make_response_reference(products),
    )


def find_outliers(
    task: Task, reference: OutlierReference, items: Sequence[Item]
) -> Iterator[FoundOutlier]:
    """Yield the outliers among some recordings."""
    for row, details in items:
        for outlier in find_unit_outliers(row.name, details.statistics, reference.stds, task):
            yield UNIT_OUTLIERS, row.hash, outlier
    if reference.responses:
        recordings = [
            Responding(row.hash, row.name, details.products)
            for row, details in items
            if row.episodes and details.products
        ]
        for hash_, outlier in find_action_outliers(recordings, reference.responses, task):
            yield ACTION_OUTLIERS, hash_, outlier


def usual_stds(recordings: Sequence[Statistics], task: Task) -> dict[str, float]:
    """Return the median standard deviation over episodes of each channel with a derivative.

    Too few `recordings` have no usual deviation.
    """
    if len(recordings) < _LEAST:
        return {}
    channels = dict.fromkeys(name for pair in velocity_pairs(task) for name in pair)
    values = {
        name: [
            std for statistics in recordings for std in statistics[f"{name}:std"] if std is not None
        ]
        for name in channels
    }
    return {name: max(float(np.median(all_)), _LOWEST) for name, all_ in values.items() if all_}


def find_unit_outliers(
    recording: str, statistics: Statistics, usual: Mapping[str, float], task: Task
) -> list[Outlier]:
    """Return the pairs of a recording in which position and velocity are both far too large.

    The two agree with each other, so no check of one recording fails. Usually both are in degrees.
    """
    outliers: list[Outlier] = []
    for velocity, position in velocity_pairs(task):
        if position not in usual or velocity not in usual or not statistics:
            continue
        unit = "in degrees" if task.channels[position].unit == "rad" else "in another unit"
        stds = zip(statistics[f"{position}:std"], statistics[f"{velocity}:std"], strict=True)
        factor = max(
            min((position_std or 0.0) / usual[position], (velocity_std or 0.0) / usual[velocity])
            for position_std, velocity_std in stds
        )
        if factor > _FAR:
            text = f"{factor:.3g} times the usual deviation, as if {unit}"
            outliers.append(Outlier(recording, [position, velocity], text))
    return outliers
