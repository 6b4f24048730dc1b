"""`kinemill model rollout TASK --expert`: record demonstrations as logs."""

from pathlib import Path
from typing import Any

import typer

from kinemill.cli.output import document, table
from kinemill.environments.evaluation import Agent
from kinemill.runtime import load
from kinemill.task.document import Task


def demonstrate(
    task: Task,
    to: Path,
    seeds: range,
    *,
    expert: Agent | None,
    workers: int,
    failures: bool,
    as_json: bool,
) -> None:
    """Write an expert's episodes as logs, and report their results.

    Args:
        task: task with an `environment` part.
        to: folder for the logs.
        seeds: seeds of the initial states.
        expert: policy of the demonstrations; None: the environment's expert.
        workers: number of processes.
        failures: whether to write failed episodes, too.
        as_json: whether to print a JSON document.
    """
    from kinemill.api.progress import StderrProgress, counted
    from kinemill.environments import demonstrations

    episodes = demonstrations.demonstrations(
        task, to, seeds, expert=expert, workers=workers, failures=failures
    )
    runs = list(counted(episodes, len(seeds), "rollout", StderrProgress()))
    summary = demonstrations.document(task, runs)
    if as_json:
        document(summary)
        return
    rows = [
        [one["seed"], one["success"], one["episode_return"], one["rows"]] for one in summary["runs"]
    ]
    table(f"demonstrations of {task.name}", ["seed", "success", "return", "rows"], rows[:20])
    succeeded = "" if summary["success"] is None else f", {summary['success']:.1%} succeeded"
    typer.echo(f"{summary['written']} of {summary['episodes']} episodes are in {to}{succeeded}")


def load_expert(task: Task, planner: Any, model: str | None) -> Agent | None:
    """Return the expert: a planner, or a trained policy; None: the environment's expert.

    Args:
        task: task with states and actions.
        planner: planner with states and past actions as inputs, or None.
        model: folder or address of a policy, or None.
    """
    if planner is not None:
        from kinemill.control.planner_expert import PlannerExpert

        return PlannerExpert(task, planner)
    if model is None:
        return None

    return load(model)
