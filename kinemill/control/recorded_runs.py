"""Runs of a policy, each written as a raw log with the columns of the plant.

The log has the form that a logger on the robot writes, so the ingest stage reads it.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kinemill.control.closed_loop import Episode, run_episode, successes_of
from kinemill.control.exploration import Exploration
from kinemill.control.physics import Robot, is_unconverted
from kinemill.control.policies import Policy
from kinemill.control.sim import Table, write_csv
from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill.task.document import Task


def run_and_log(
    task: Task,
    policy: tuple[str, Policy],
    seeds: Iterable[int],
    folder: Path,
    *,
    seconds: float | None = None,
    explore: float = 0.0,
) -> tuple[list[Episode], Json]:
    """Run a policy on the task's plant once for each seed, and write every run as a log.

    It returns the runs, and JSON with `runs`, `successes` and the summed `cost`.

    Args:
        task: task with a `control` part.
        policy: name, the prefix of log names, and the policy.
        seeds: seeds of starts and of the random numbers of the policy.
        folder: folder of the logs; each is written as a whole or not at all.
        seconds: length of a run, s; default: that of the task.
        explore: standard deviation of white noise on the actions, in halves of their range.

    Raises:
        BadInput: The task has no `control` part, or a channel or the time is converted when a log
            is read.
        EpisodeFailed: The plant does not respond.
    """
    robot = Robot(task)
    noise = Exploration(explore)
    episodes = list[Episode]()
    rows = list[Json]()
    name, act = policy
    for seed in seeds:
        episode = run_episode(task, act, seed, robot=robot, seconds=seconds, explore=noise)
        path = write_log(task, episode, folder, f"{name}-{seed:04d}")
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
        "successes": successes_of(episodes),
        "cost": sum(episode.cost for episode in episodes),
    }
    return episodes, document


def log_table(task: Task, episode: Episode) -> Table:
    """Return the log of an episode: columns (N,) by name, time in s, channels in task units.

    Row k holds state k and the action that acts from state k to k+1. The last state is left out.

    The columns are named by the first `source` of each channel, or by the channel.

    Raises:
        BadInput: A channel or the time is converted when a log is read.
    """
    if task.ingest.time_unit != "s":
        problem = f"is {task.ingest.time_unit}, and logs of episodes are written in s"
        raise BadInput("ingest.time_unit", problem, expected="s")
    stamps = np.arange(len(episode.actions), dtype=np.float64) * task.dt
    table: Table = {task.ingest.time[0]: stamps}
    columns = [*episode.states[:-1].T, *episode.actions.T]
    for name, column in zip([*task.states, *task.actions], columns, strict=True):
        table[_column(task, name)] = column
    return table


def _column(task: Task, name: str) -> str:
    """Return the column that a channel is written to."""
    channel = task.channels[name]
    if not channel.source:
        return name
    first = channel.source[0]
    if not is_unconverted(first, channel.unit):
        problem = f"is converted from {first.name!r}"
        raise BadInput(f"channel {name!r}", problem, expected="the unit of the log as its unit")
    return first.name


def write_log(task: Task, episode: Episode, folder: Path, name: str) -> Path:
    """Write one run as CSV and return its path.

    The file name ends in a digest of the content, so a different run never replaces the file.

    Raises:
        BadInput: A channel or the time is converted when a log is read.
    """
    return write_csv(log_table(task, episode), folder, name)
