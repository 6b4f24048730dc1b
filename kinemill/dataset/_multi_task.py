"""Episodes of other tasks that join a dataset: same channels, same time step, for training.

Of another task its latest published episodes are taken. There is no edge between the two: what the
other task gets later joins when this task is next run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from kinemill.dataset._near_duplicates import roots_of, twins_of
from kinemill.dataset._sessions import groups_of
from kinemill.dataset._split import Known
from kinemill.errors import BadInput
from kinemill.store import ArtifactRef, index_path, read_json, summary_of
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.stages import Joined
from kinemill.validate import load_episodes
from kinemill.validate.episodes import Episode
from kinemill.validate.previous_snapshot import EPISODES

_ALIKE = ("role", "kind", "unit")  # what a channel must have in common


@dataclass(frozen=True)
class Together:
    """All episodes of a dataset, its own first.

    Attributes:
        episodes: of all tasks, each recording of one task alone.
        known: what stays together, and which episodes are for training alone.
        tasks: the task of each joined episode, by id.
        digests: of the episodes of each joined task.
    """

    episodes: list[Episode]
    known: Known
    tasks: dict[str, str] = field(default_factory=dict[str, str])
    digests: dict[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def recordings(self) -> set[str]:
        """Hashes of all recordings."""
        return {episode.recording for episode in self.episodes}


def gather(task: Task, home: Home, episodes: ArtifactRef) -> Together:
    """Return the task's own episodes and those of the tasks that `dataset.join` names.

    Raises:
        BadInput: a joined task lacks a channel, has other units, another time step, or no episodes.
    """
    own = load_episodes(home, episodes)
    known = Known(groups_of(task, home, own), roots=roots_of(task, home, own))
    together = Together(own, replace(known, twins=twins_of(task, home, own)))
    for joined in task.dataset.join:
        together = _join(task, home, together, joined)
    return together


def _join(task: Task, home: Home, together: Together, joined: Joined) -> Together:
    other = _task_beside(task, joined.task)
    where = f"{task.path or task.name}: dataset.join: {other.name}"
    if unlike := [*_unlike(task, other)]:
        fix = "give both tasks the same channels, or leave it out"
        raise BadInput(where, "; ".join(unlike), fix=fix)
    ref = latest_episodes(home, other.name)
    if ref is None:
        fix = f"kinemill run {other.name}"
        raise BadInput(where, "has no validated episodes yet", fix=fix)
    found = [one for one in load_episodes(home, ref) if one.recording not in together.recordings]
    known = together.known
    if joined.split:
        alike = other.model_copy(update={"dataset": task.dataset})
        known = replace(
            known,
            groups={**known.groups, **groups_of(alike, home, found)},
            roots={**known.roots, **roots_of(alike, home, found)},
            twins={**known.twins, **twins_of(alike, home, found)},
        )
    else:
        known = replace(known, training=known.training | {one.id for one in found})
    return Together(
        [*together.episodes, *found],
        known,
        together.tasks | {one.id: other.name for one in found},
        together.digests | {other.name: summary_of(home, ref)["digest"]},
    )


def latest_episodes(home: Home, task: str) -> ArtifactRef | None:
    """Return the episodes that a task published last."""
    path = index_path(home, task, EPISODES)
    return ArtifactRef.from_json(read_json(path)["snapshot"]) if path.is_file() else None


def _task_beside(task: Task, name: str) -> Task:
    """Return another task of the folder that this one was read from."""
    return load_task(task.path.with_name(f"{name}{task.path.suffix}") if task.path else name)


def _unlike(task: Task, other: Task) -> Iterator[str]:
    """Say in what two tasks differ that must be alike."""
    if other.name == task.name:
        yield "is this task itself"
    if abs(other.dt - task.dt) > 1e-9 * task.dt:
        yield f"has a time step of {other.dt:g} s; expected {task.dt:g} s"
    for name, channel in task.channels.items():
        if name not in other.channels:
            yield f"has no channel {name!r}"
            continue
        for what in _ALIKE:
            wanted, found = getattr(channel, what), getattr(other.channels[name], what)
            if wanted != found:
                yield f"has {name!r} with {what} {found!r}; expected {wanted!r}"
