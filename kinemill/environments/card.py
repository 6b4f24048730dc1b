"""The card of an environment: the dataset artifact of a policy that trains without logs.

It freezes the environment of training and evaluation: settings, the source of a user's class or the
model that simulates, versions of libraries, and the return of random actions. A changed card is a
new version of the task's dataset.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import publish_unpacked
from kinemill.environments.evaluation import RandomPolicy, Trials, try_policy
from kinemill.environments.factory import environment_of, make_environment
from kinemill.environments.layout import layout_of
from kinemill.errors import BadInput
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    open_ref,
    read_document,
    to_json_value,
    write_document,
)
from kinemill.store.home import Home
from kinemill.task import Task

VERSION = 3
DOCUMENT = "environment.json"
SOURCES = "sources"
_LIBRARIES = ("gymnasium", "mujoco", "Box2D", "numpy")


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


@dataclass(frozen=True)
class Card:
    """A published card."""

    folder: Path
    document: CardDocument

    def task(self, task: Task) -> Task:
        """Return the task with the frozen environment of the card."""
        pinned = environment_of(task).at(self.folder / SOURCES)
        return task.model_copy(update={"environment": pinned})


def make_card(task: Task, home: Home) -> Artifact:
    """Publish the card of the task's environment as a version of its dataset.

    Raises:
        BadInput: The environment or a file of it is missing, or random actions have a return that
            is not finite.
    """
    environment = environment_of(task)
    sources = environment.sources()
    part = task.part("environment", "control")
    lineage = environment.lineage()
    libraries = _versions()
    inputs: Json = {
        **part,  # some rewards depend on `control`
        "lineage": lineage,
        "libraries": libraries,
        "version": VERSION,
    }

    def build(folder: Path) -> Json:
        for name, path in sources.items():
            target = folder / SOURCES / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        pinned = task.model_copy(update={"environment": environment.at(folder / SOURCES)})
        summary = _summary_of(pinned)
        document = CardDocument(
            **vars(summary), environment=part["environment"], lineage=lineage, libraries=libraries
        )
        write_document(folder / DOCUMENT, document)
        return to_json_value(summary)

    return publish_unpacked(task, home, inputs, build)


def open_card(home: Home, ref: ArtifactRef) -> Card:
    """Return a published card after a check of its digest."""
    folder = open_ref(home, ref)
    return Card(folder, read_document(folder / DOCUMENT, CardDocument))


def _summary_of(task: Task) -> CardSummary:
    """Return the layout of an environment, and the performance of random actions in its trials."""
    environment = make_environment(task)
    trials = environment_of(task).trials
    seeds = [trials.seed + index for index in range(trials.episodes)]
    try:
        layout = layout_of(task, environment)
        random = _random_trials(task, RandomPolicy(environment.action_space), seeds)
    finally:
        environment.close()
    intervals = random.interval()
    return CardSummary(
        random=RandomReturns(
            mean_return=random.mean_return,
            return_interval=intervals["return"],
            success=random.success,
            success_interval=intervals["success"] if random.successes else None,
        ),
        layout=layout,
        trials=TrialSeeds(trials.episodes, (seeds[0], seeds[-1])),
    )


def _random_trials(task: Task, policy: RandomPolicy, seeds: Sequence[int]) -> Trials:
    """Run the trials with random actions."""
    random_trials = try_policy(task, policy, seeds)
    for seed, episode_return in zip(random_trials.seeds, random_trials.returns, strict=True):
        if not np.isfinite(episode_return):
            (replayed,) = try_policy(task, policy, [seed], record=1).episodes
            raise BadInput(
                f"environment of {task.name}, seed {seed}",
                f"{_odd_reward(replayed.rewards)}, actions drawn at random",
                expected="finite numbers",
                fix="correct the rewards that `step` returns",
            )
    return random_trials


def _odd_reward(rewards: NDArray[np.float64]) -> str:
    """Return a message on the first reward of (N,) that is not finite, or on their sum."""
    odd = np.flatnonzero(~np.isfinite(rewards))
    if not len(odd):
        return f"the rewards come to a return of {rewards.sum()}"
    return f"the reward of step {odd[0]} is {rewards[odd[0]]}"


def _versions() -> dict[str, str]:
    versions = dict[str, str]()
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # the environment does not need it
            continue
    return versions
