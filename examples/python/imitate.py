"""Clone demonstrations, and go on from a checkpoint: `imitate.py TASK.yaml DEMONSTRATIONS`."""

import sys

import kinemill.api as km


def main(task: str, logs: str, steps: int = 10_000) -> km.PolicyResults:
    """Train, continue from the middle at a smaller learning rate; return errors of actions."""
    settings = {"learn.steps": steps, "learn.keep.every": steps // 2}
    first = km.train(km.load_task(task, settings), logs, progress=False)
    (middle,) = (entry for entry in first.checkpoints() if entry.step == steps // 2)
    start = {"learn.start_from": middle.folder, "learn.optimizer.lr": 1e-4}
    return km.evaluate_policy(km.train(km.load_task(task, start), logs, progress=False), logs)


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2]))
