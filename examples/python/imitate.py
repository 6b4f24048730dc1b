"""Clone demonstrations, and go on from a checkpoint: `imitate.py TASK.yaml DEMONSTRATIONS`."""

import sys
from typing import Any

import numpy as np

import kinemill.api as km


def rest(policy: Any, task: km.Task) -> dict[str, float]:
    """Return the largest action where all observations are 0; logged as `eval/rest`."""
    del task
    policy.reset(seed=0)
    return {"rest": float(np.abs(policy.act(np.zeros(len(policy.observation)))).max())}


def main(task: str, logs: str, steps: int = 10_000) -> tuple[km.PolicyResults, km.Training]:
    """Train, continue from the middle at a smaller learning rate; return errors of actions."""
    settings = {"learn.steps": steps, "learn.keep.every": steps // 2}
    first = km.train(km.load_task(task, settings), logs, progress=False)
    (middle,) = (entry for entry in first.checkpoints() if entry.step == steps // 2)
    start = {"learn.start_from": middle.folder, "learn.optimizer.lr": 1e-4}
    watch = {"learn.eval_callback": f"{__file__}:rest"}
    continued = km.train(km.load_task(task, start | watch), logs, progress=False)
    return km.evaluate_policy(continued, logs), continued


if __name__ == "__main__":
    print(*main(sys.argv[1], sys.argv[2]), sep="\n")
