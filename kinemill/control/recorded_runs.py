"""Several runs in a row, each written as a raw log in the plant's own columns.

The log is what a logger on the robot would have written, so it can be ingested as any other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.control.closed_loop import Episode, run_episode
from kinemill.control.physics import Robot
from kinemill.control.policies import Policy
from kinemill.sim import Table, table_csv
from kinemill.store import Json, digest, publish_file
from kinemill.task.document import Task


@dataclass(frozen=True)
class Runs:
    """What happened, and where it was written.

    Attributes:
        episodes: the runs.
        document: the same as JSON: `runs`, `successes`, summed `cost`.
    """

    episodes: list[Episode]
    document: Json


def run_and_log(
    task: Task,
    policy: tuple[str, Policy],
    seeds: Iterable[int],
    folder: Path,
    *,
    seconds: float | None = None,
    explore: float = 0.0,
) -> Runs:
    """Let a policy run the task's plant once for each seed, and write every run as a log.

    Args:
        task: with a `control` part.
        policy: its name, with which those of the logs begin, and itself.
        seeds: of starts and of the policy's randomness.
        folder: where they go, each whole or not at all.
        seconds: length of a run; default: that of the task.
        explore: noise on the actions, in halves of their range.
    """
    robot, episodes, rows = Robot(task), list[Episode](), list[Json]()
    name, act = policy
    for seed in seeds:
        episode = run_episode(task, act, seed, robot=robot, seconds=seconds, explore=explore)
        path = write_log(task, robot, episode, folder, f"{name}-{seed:04d}")
        episodes.append(episode)
        rows.append(
            {
                "seed": seed,
                "success": episode.success,
                "cost": episode.cost,
                "ms_per_action": 1e3 * episode.seconds,
                "file": str(path),
            }
        )
    document: Json = {
        "runs": rows,
        "successes": sum(episode.success for episode in episodes),
        "cost": sum(episode.cost for episode in episodes),
    }
    return Runs(episodes, document)


def table_of(task: Task, robot: Robot, episode: Episode) -> Table:
    """Return columns (N,) by name; row k holds a state and the action held from then on."""
    states = robot.to_plant(episode.states[:-1])
    commands = np.empty(episode.actions.shape)
    commands[:, robot.actions] = episode.actions
    return robot.plant.table(_stamps(task, len(states)), states, commands)


def _stamps(task: Task, rows: int) -> NDArray[np.float64]:
    return np.arange(rows, dtype=np.float64) * task.dt


def write_log(task: Task, robot: Robot, episode: Episode, folder: Path, name: str) -> Path:
    """Write one run as CSV; its name ends in a digest of the content, so none replaces another."""
    content = table_csv(table_of(task, robot, episode))
    path = folder / f"{name}-{digest(content)[:8]}.csv"
    if not path.is_file():
        publish_file(path, content.encode())
    return path
