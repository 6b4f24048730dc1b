"""The card of an environment: the dataset artifact of a policy that trains without logs.

It freezes the environment of training and evaluation: settings, the source of a user's class or the
model that simulates, versions of libraries, and the return of random actions. A changed card is a
new version of the task's dataset.
"""

from dataclasses import dataclass
from pathlib import Path

from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json, read_document

DOCUMENT = "environment.json"


@dataclass(frozen=True)
class RandomReturns:
    """Performance of random actions over the trials, with 95 % intervals of the means.

    Attributes:
        mean_return: mean episode return.
        return_interval: lowest and highest value of it.
        success: share of successful episodes, or None without `is_success`.
        success_interval: lowest and highest value of it.
    """

    mean_return: float
    return_interval: tuple[float, float]
    success: float | None
    success_interval: tuple[float, float] | None


@dataclass(frozen=True)
class TrialSeeds:
    """Number of trial episodes, first and last seed."""

    episodes: int
    seeds: tuple[int, int]


@dataclass(frozen=True)
class CardSummary:
    """Part of the card in the artifact's summary.

    Attributes:
        random: performance of random actions.
        layout: observations and actions.
        trials: episodes of `random`.
    """

    random: RandomReturns
    layout: PolicyLayout
    trials: TrialSeeds


@dataclass(frozen=True)
class CardDocument(CardSummary):
    """The file `environment.json`.

    Attributes:
        environment: settings of the environment.
        lineage: digests of the models that it uses, by name.
        libraries: version by library.
    """

    environment: Json
    lineage: dict[str, str]
    libraries: dict[str, str]


def read_card(folder: Path) -> CardDocument:
    """Return the card in the folder of a dataset version."""
    return read_document(folder / DOCUMENT, CardDocument)
