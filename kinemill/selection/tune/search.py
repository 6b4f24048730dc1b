"""Hyperparameter search: the task, its data, the search space, and where results are stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinemill.dataset import load_dataset
from kinemill.errors import BadInput
from kinemill.selection.tune.defaults import DataFacts, default_space
from kinemill.store import (
    ArtifactRef,
    Home,
    Json,
    digest,
    from_json_value,
    publish_file,
    publish_json,
    read_json,
    to_json_value,
)
from kinemill.task import Task, WarmStart, load_task
from kinemill.task.component_file import task_bytes
from kinemill.task.computed import estimator_rows
from kinemill.task.own_code import code_of
from kinemill.task.search import SELECT, FixedChooser, select_values, single_choices

VERSION = 3
JOB = "search.json"
TASKS = "task"


@dataclass(frozen=True)
class Search:
    """One search. A search with the same name resumes.

    Attributes:
        name: name of the task, and a digest of all inputs of the results.
        home: where results are stored.
        dataset: dataset for training and evaluation.
        overrides: overrides of the task file in every trial.
        space: search space, including defaults.
        history: longest history of any trial, steps; all trials share windows of this length.
        horizon: steps of the evaluated rollouts.
        prunes: whether intermediate errors of trials are comparable.
        start: resolved model of `learn.start_from`.
        code: overrides with the text of custom code, because the copy is in another folder.
    """

    name: str
    home: Home
    dataset: ArtifactRef
    overrides: Json
    space: Json
    history: int
    horizon: int
    prunes: bool
    start: WarmStart | None = None
    code: Json = field(default_factory=dict[str, Any])

    @property
    def folder(self) -> Path:
        """Folder with study, report and a copy of the task file."""
        return folder_of(self.home, self.name)

    def files(self) -> list[Path]:
        """Return the files for a remote process."""
        return [self.folder / JOB, *(self.folder / TASKS).glob("*.yaml")]

    def task(self, settings: Mapping[str, object] | None = None) -> Task:
        """Return the task from the copy of the task file, with settings.

        Raises:
            TaskError: The settings are invalid together.
        """
        (file,) = (self.folder / TASKS).glob("*.yaml")
        return load_task(file, {**self.overrides, **self.code, **(settings or {})})


def folder_of(home: Home, name: str) -> Path:
    """Return the folder of a search."""
    task, _, _ = name.rpartition("-")
    return home.root / "tune" / task / name


def begin(
    task: Task,
    home: Home,
    dataset: ArtifactRef,
    overrides: Mapping[str, object],
    start: WarmStart | None = None,
) -> Search:
    """Create or resume the search of a task, and store its description.

    Raises:
        BadInput: No validation episode is as long as the windows of the trials.
    """
    if task.path is None:
        raise BadInput(f"task {task.name}", "has no file")
    if task.learn.from_logs:
        space, longest = _space(task, home, dataset)
    else:
        space = task.tune.space or default_space(task)
        longest = 0
    searched = {key for learn in _learn_parts(space) for key in learn}
    depends: Json = {
        "version": VERSION,
        "dataset": dataset.digest,
        "task": task.part("dt", "channels", "learn", "augment", "validate"),
        "tune": {**task.part("tune")["tune"], "space": space, "trials": None},
        "windows": [longest, task.verify.horizon],
        "start": start.digest if start else None,
    }
    search = Search(
        name=f"{task.name}-{digest(depends)[:12]}",
        home=home,
        dataset=dataset,
        overrides={**overrides},
        space=space,
        history=longest,
        horizon=task.verify.horizon,
        prunes=task.tune.pruning != "none" and not {"horizon", "checkpoint"} & searched,
        start=start,
        code={**code_of(task)},
    )
    publish_file(search.folder / TASKS / f"{task.name}.yaml", task_bytes(task.path))
    document: Json = to_json_value(search)
    del document["home"]  # which can be moved
    publish_json(search.folder / JOB, document)
    return search


def _space(task: Task, home: Home, dataset: ArtifactRef) -> tuple[Json, int]:
    """Return the space of a task, and the longest history in it.

    Raises:
        BadInput: No validation episode is as long as the windows of the trials.
    """
    packed = load_dataset(home, dataset)
    usual = default_space(task, DataFacts.of(task, packed))
    space = task.tune.space or usual
    derived = [task.channels[name] for name in task.derived]
    longest = max([history_of(task), *_histories(space), estimator_rows(derived, task.dt)])
    if task.learn.type != "dynamics":  # the training evaluates it, on other windows
        return space, longest
    if not len(packed.window_starts("validation", longest + task.verify.horizon)):
        raise BadInput(
            f"validation split of {task.name}",
            f"no episode has {longest + task.verify.horizon} steps",
            expected=f"the longest history of the space ({longest}) plus verify.horizon",
            fix="shorten `learn.history` in tune.space, or lower verify.horizon",
        )
    return space, longest


def history_of(task: Task) -> int:
    """Return the history of a task's model, steps; 0 without one."""
    return int(getattr(task.learn, "history", 0))


def _learn_parts(space: Json) -> list[Json]:
    """Return the alternatives of `learn` in a space; without a choice only itself."""
    learn: Json = space.get("learn", {})
    return learn.get(SELECT, [learn])


def _histories(space: Json) -> list[int]:
    """Return the histories in a space, steps; for a range its bounds."""
    histories: list[int] = []
    for learn in _learn_parts(space):
        if "history" in learn:
            alone = {"history": learn["history"]}
            for value in ({}, *single_choices(alone)):
                histories.append(int(select_values(alone, FixedChooser(value))["history"]))
    return histories


def read_search(folder: Path) -> Search:
    """Read the description of a search from its folder."""
    document = {**read_json(folder / JOB), "home": Home(folder.parents[2])}
    return from_json_value(document, Search, folder / JOB)
