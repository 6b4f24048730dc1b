"""Closed loop: a controller plans with the exported model and drives the task's simulated robot."""

from pathlib import Path

import numpy as np

from kinemill.control import make_planner, plain_policy, run_episode
from kinemill.control.closed_loop import successes_of
from kinemill.control.learned_dynamics import learned_model
from kinemill.control.physics import Robot
from kinemill.control.report import motion, signals
from kinemill.task.document import Task
from kinemill.verify.results import ClosedLoop, LoopEpisode
from kinemill.verify.subject import CLOSED_LOOPS


@CLOSED_LOOPS.register("control")
def closed_loop(task: Task, folder: Path) -> tuple[ClosedLoop, str] | None:
    """Run `verify.closed_loop` episodes of the task's controller, and the same with zero actions.

    Nothing runs unless the task has a `control` part with a plant. It returns the results of the
    episodes, and an animation and charts of them as HTML; None if nothing runs.
    """
    seeds = range(task.verify.closed_loop)
    if task.control is None or task.control.plant is None or not seeds:
        return None
    robot = Robot(task)
    planner = make_planner(task, [learned_model(task, folder, wait=True)])
    runs = [run_episode(task, planner, seed, robot=robot) for seed in seeds]
    idle = [run_episode(task, plain_policy(task, "zero"), seed, robot=robot) for seed in seeds]
    results = ClosedLoop(
        plant=Path(task.control.plant).name,
        episodes=[
            LoopEpisode(seed, run.cost, run.success, len(run.actions), run.refused)
            for seed, run in zip(seeds, runs, strict=True)
        ],
        successes=successes_of(runs),
        cost=float(np.mean([run.cost for run in runs])),
        idle_cost=float(np.mean([run.cost for run in idle])),
        action_ms=float(np.median([run.seconds for run in runs])) * 1e3,
    )
    return results, f"{motion(task, runs, seeds)}<h3>Signals</h3>{signals(task, runs, seeds)}"
