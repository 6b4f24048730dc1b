"""`kinemill model rollout TASK --expert`: record demonstrations as logs."""

from pathlib import Path
from typing import Any

import typer

from kinemill.cli.output import document, table
from kinemill.environments.evaluation import Agent
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
        task: with an `environment` part.
        to: folder for the logs.
        seeds: of the initial states.
        expert: chooses the actions; None: the environment's own expert.
        workers: number of processes.
        failures: whether to write failed episodes as well.
        as_json: whether to print one document.
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
    said = "" if summary["success"] is None else f", {summary['success']:.1%} succeeded"
    typer.echo(f"{summary['written']} of {summary['episodes']} episodes are in {to}{said}")


def load_expert(task: Task, planner: Any, model: str | None) -> Agent | None:
    """Return the expert: a planner, or a trained policy; None for the environment's own.

    Args:
        task: defines states and actions.
        planner: plans from states and past actions; or None.
        model: a policy's folder or address; or None.
    """
    if planner is not None:
        from kinemill.control.planner_expert import PlannerExpert

        return PlannerExpert(task, planner)
    if model is None:
        return None
    from kinemill.runtime import load

    return load(model)
