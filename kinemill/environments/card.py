"""The card of an environment: what stands in the place of a dataset where no logs are learned from.

It freezes what a policy learns in and is tried in: settings, the source of a class of one's own or
the model that stands in for physics, the versions of the libraries that move it, and what choosing
actions at random brings there. Another card is another version of the task's dataset.
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
from kinemill.store import Artifact, ArtifactRef, Json, open_ref, read_json, write_json
from kinemill.store.digests import file_digest
from kinemill.store.home import Home
from kinemill.task import Task

VERSION = 1
DOCUMENT, SOURCES = "environment.json", "sources"
_RANDOM_KEYS = ("return", "return_interval", "success", "success_interval")
_LIBRARIES = ("gymnasium", "mujoco", "Box2D", "numpy")


@dataclass(frozen=True)
class Card:
    """A published card.

    Attributes:
        folder: where it lies.
        document: what it says.
    """

    folder: Path
    document: Json

    @property
    def layout(self) -> PolicyLayout:
        """What a policy sees and gives there."""
        return PolicyLayout.from_json(self.document["layout"])

    @property
    def random(self) -> Json:
        """What actions drawn at random bring: `return` and `success`, and where the means lie."""
        return self.document["random"]

    def task(self, task: Task) -> Task:
        """Return the task with its environment made of what the card froze."""
        pinned = environment_of(task).at(self.folder / SOURCES)
        return task.model_copy(update={"environment": pinned})


def make_card(task: Task, home: Home) -> Artifact:
    """Publish the card of the task's environment as a version of its dataset.

    Raises:
        BadInput: there is no such environment, a file it needs is not there, or actions drawn at
            random bring what is no number.
    """
    own = environment_of(task)
    sources = own.sources()
    inputs = {
        **task.part("environment", "control"),  # which some rewards are made of
        "sources": {name: file_digest(path) for name, path in sources.items()},
        "lineage": own.lineage(),
        "libraries": _versions(),
        "version": VERSION,
    }

    def build(folder: Path) -> Json:
        (folder / SOURCES).mkdir()
        for name, path in sources.items():
            shutil.copyfile(path, folder / SOURCES / name)
        pinned = task.model_copy(update={"environment": own.at(folder / SOURCES)})
        about = {name: inputs[name] for name in ("environment", "lineage", "libraries")}
        document = _described(pinned)
        write_json(folder / DOCUMENT, about | document)
        return {name: document[name] for name in ("random", "layout", "trials")}

    return publish_unpacked(task, home, inputs, build)


def open_card(home: Home, ref: ArtifactRef) -> Card:
    """Read a card, every byte of it checked."""
    folder = open_ref(home, ref)
    return Card(folder, read_json(folder / DOCUMENT))


def _described(task: Task) -> Json:
    """Return what a policy sees and gives, and what chance brings in the trials."""
    environment, trials = make_environment(task), environment_of(task).trials
    seeds = [trials.seed + index for index in range(trials.episodes)]
    try:
        layout = layout_of(task, environment)
        random_trials = _random_trials(
            task, RandomPolicy(environment.action_space), seeds
        ).document()
    finally:
        environment.close()
    low, high = seeds[0], seeds[-1]
    return {
        "layout": layout.to_json(),
        "random": {name: random_trials[name] for name in _RANDOM_KEYS},
        "trials": {"episodes": trials.episodes, "seeds": [low, high]},
    }


def _random_trials(task: Task, policy: RandomPolicy, seeds: Sequence[int]) -> Trials:
    """Try actions drawn at random.

    Raises:
        BadInput: they bring what is no number.
    """
    random_trials = try_policy(task, policy, seeds)
    for seed, episode_return in zip(random_trials.seeds, random_trials.returns, strict=True):
        if not np.isfinite(episode_return):
            (again,) = try_policy(task, policy, [seed], record=1).episodes
            raise BadInput(
                f"environment of {task.name}, seed {seed}",
                f"{_odd_reward(again.rewards)}, actions drawn at random",
                expected="finite numbers",
                fix="mend the rewards that `step` returns",
            )
    return random_trials


def _odd_reward(rewards: NDArray[np.float64]) -> str:
    """Say where rewards (N,) of an episode are no number, or that their sum is none."""
    odd = np.flatnonzero(~np.isfinite(rewards))
    if not len(odd):
        return f"the rewards come to a return of {rewards.sum()}"
    return f"the reward of step {odd[0]} is {rewards[odd[0]]}"


def _versions() -> dict[str, str]:
    versions = dict[str, str]()
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # Box2D is an extra
            continue
    return versions
