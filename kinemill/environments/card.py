"""The card of an environment: what stands in the place of a dataset where no logs are learned from.

It freezes what a policy learns in and is tried in: settings, the source of a class of one's own or
the model that stands in for physics, the versions of the libraries that move it, and what choosing
actions at random brings there. Another card is another version of the task's dataset.
"""

import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kinemill.dataset import publish_unpacked
from kinemill.digests import file_digest
from kinemill.environments.layout import layout_of
from kinemill.environments.make import environment_of, make_environment
from kinemill.environments.trials import RandomPolicy, try_policy
from kinemill.home import Home
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.spec import Task
from kinemill.store import Json, Outcome, Ref, open_ref, read_json, write_json

VERSION = 1
DOCUMENT, SOURCES = "environment.json", "sources"
_CHANCE = ("return", "return_interval", "success", "success_interval")
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


def make_card(task: Task, home: Home) -> Outcome:
    """Publish the card of the task's environment as a version of its dataset.

    Raises:
        BadInput: there is no such environment, or a file it needs is not there.
    """
    own = environment_of(task)
    sources = own.sources()
    made_from = {
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
        tried = try_policy(task, RandomPolicy(environment.action_space), seeds).document()
    finally:
        environment.close()
    low, high = seeds[0], seeds[-1]
    return {
        "layout": layout.to_json(),
        "random": {name: tried[name] for name in _CHANCE},
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
