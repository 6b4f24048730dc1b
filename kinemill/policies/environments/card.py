"""Make and open the card of an environment, the dataset of a policy that trains without logs."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import publish_unpacked
from kinemill.dataset.environment_card import (
    DOCUMENT,
    CardDocument,
    CardSummary,
    RandomReturns,
    TrialSeeds,
    read_card,
)
from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import (
    RandomPolicy,
    Trials,
    trial_seeds,
    try_policy,
)
from kinemill.policies.environments.factory import environment_of, make_environment
from kinemill.policies.environments.layout import layout_of
from kinemill.store import Artifact, ArtifactRef, Json, open_ref, to_json_value, write_document
from kinemill.store.home import Home
from kinemill.task import Task

VERSION = 3
SOURCES = "sources"
_LIBRARIES = ("gymnasium", "mujoco", "Box2D", "numpy")


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
    return Card(folder, read_card(folder))


def _summary_of(task: Task) -> CardSummary:
    """Return the layout of an environment, and the performance of random actions in its trials."""
    seeds = trial_seeds(task)
    with closing(make_environment(task)) as environment:
        layout = layout_of(task, environment)
        random = _random_trials(task, RandomPolicy(environment.action_space), seeds)
    intervals = random.interval()
    return CardSummary(
        random=RandomReturns(
            mean_return=random.mean_return,
            return_interval=intervals["return"],
            success=random.success,
            success_interval=intervals["success"] if random.successes else None,
        ),
        layout=layout,
        trials=TrialSeeds(len(seeds), (seeds[0], seeds[-1])),
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
