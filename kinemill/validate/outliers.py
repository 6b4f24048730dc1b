"""Outliers: recordings whose units or actions differ from those of a sample of recordings.

The sample is the first recordings by content hash. Hashes are random with respect to content, so it
is as good as any other one, and it depends on the set of recordings alone. A new recording among
many rarely enters the sample. Then all recordings are compared again; otherwise only it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kinemill.store import digest
from kinemill.task import Task
from kinemill.validate.action_responses import (
    Responding,
    ResponseReference,
    find_action_outliers,
    make_response_reference,
)
from kinemill.validate.check_results import ACTION_OUTLIERS, UNIT_OUTLIERS, Outlier
from kinemill.validate.totals import Item
from kinemill.validate.unit_outliers import find_unit_outliers, usual_stds

SAMPLE = 512  # recordings with tracks

FoundOutlier = tuple[str, str, Outlier]  # check, content hash, outlier


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
    products = {row.hash: one.products for row, one in accepted if one.products}
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
        for one in find_unit_outliers(row.name, details.statistics, reference.stds, task):
            yield UNIT_OUTLIERS, row.hash, one
    if reference.responses:
        recordings = [
            Responding(row.hash, row.name, details.products)
            for row, details in items
            if row.episodes and details.products
        ]
        for hash_, one in find_action_outliers(recordings, reference.responses, task):
            yield ACTION_OUTLIERS, hash_, one
