"""The card of an environment: what stands in the place of a dataset where no logs are learned from.

It freezes what a policy learns in and is tried in: settings, the source of a class of one's own or
the model that stands in for physics, the versions of the libraries that move it, and what choosing
actions at random brings there. Another card is another version of the task's dataset.
"""

import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import publish_unpacked
from kinemill.digests import file_digest
from kinemill.environments import layout_of, make_environment
from kinemill.environments.trials import try_policy
from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.spec import Task
from kinemill.spec.environment import Environment
from kinemill.store import Json, Outcome, Ref, open_ref, read_json, write_json

VERSION = 1
DOCUMENT, SOURCES = "environment.json", "sources"
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
        """`return` and `success` of actions drawn at random: mean and 95 % interval each."""
        return self.document["random"]

    def task(self, task: Task) -> Task:
        """Return the task with its environment made of what the card froze."""
        pinned = environment_of(task).at(self.folder / SOURCES)
        return task.model_copy(update={"environment": pinned})


class Anything:
    """A policy that draws its actions evenly from all there are.

    Args:
        space: of the actions.
    """

    def __init__(self, space: Any) -> None:
        self._space = space

    def reset(self, seed: int) -> None:
        """Begin an episode; all that it draws follows from the seed."""
        self._space.seed(seed)

    def act(self, observation: Any) -> Any:
        """Draw one of the allowed actions."""
        mask = observation.get("action_mask") if isinstance(observation, dict) else None
        return self._space.sample() if mask is None else self._space.sample(np.int8(mask))


def environment_of(task: Task) -> Environment:
    """Return the environment of a task.

    Raises:
        BadInput: it has none.
    """
    if task.environment is None:
        fix = "environment: CartPole-v1, such as"
        raise BadInput(f"task {task.name}", "has no `environment`", fix=fix)
    return task.environment


def make_card(task: Task, home: Home) -> Outcome:
    """Publish the card of the task's environment as a version of its dataset.

    Raises:
        BadInput: there is no such environment, or a file it needs is not there.
    """
    own = environment_of(task)
    sources = own.sources()
    made_from = {
        **task.part("environment"),
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
        about = {name: made_from[name] for name in ("environment", "lineage", "libraries")}
        found = _described(pinned)
        write_json(folder / DOCUMENT, about | found)
        return {name: found[name] for name in ("random", "layout", "trials")}

    return publish_unpacked(task, home, made_from, build)


def open_card(home: Home, ref: Ref) -> Card:
    """Read a card, every byte of it checked."""
    folder = open_ref(home, ref)
    return Card(folder, read_json(folder / DOCUMENT))


def _described(task: Task) -> Json:
    """Return what a policy sees and gives, and what chance brings in the trials."""
    environment, trials = make_environment(task), environment_of(task).trials
    seeds = [trials.seed + index for index in range(trials.episodes)]
    try:
        layout = layout_of(task, environment)
        tried = try_policy(task, Anything(environment.action_space), seeds)
    finally:
        environment.close()
    low, high = seeds[0], seeds[-1]
    return {
        "layout": layout.to_json(),
        "random": tried.document(),
        "trials": {"episodes": trials.episodes, "seeds": [low, high]},
    }


def _versions() -> dict[str, str]:
    found = dict[str, str]()
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # Box2D is an extra
            continue
    return found
