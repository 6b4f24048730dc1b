"""`kinemill model rollout` of a controller, and demonstrations of an expert."""

from dataclasses import dataclass
from pathlib import Path

import typer

from kinemill.api.progress import StderrProgress, counted
from kinemill.api.rollouts import PLAIN, planner
from kinemill.api.rollouts import rollout as run
from kinemill.cli.output import document, quantity, table
from kinemill.control.closed_loop import PlannerExpert
from kinemill.control.report import page
from kinemill.policies.environments import demonstrations
from kinemill.policies.environments.evaluation import Agent
from kinemill.runtime import load
from kinemill.runtime.session import Execution
from kinemill.store import Json, publish_file
from kinemill.task.document import Task


@dataclass(frozen=True)
class Rollout:
    """Options of every rollout.

    Attributes:
        controller: name of the controller; None: the task's controller.
        model: model of the planner, or the policy.
        threads: CPU threads of the model.
        provider: execution provider of ONNX Runtime.
        seeds: seeds of the initial states.
        to: folder for the logs.
        as_json: whether to print a JSON document.
    """

    task: Task
    controller: str | None
    model: str
    threads: int
    provider: str
    seeds: range
    to: Path
    as_json: bool


def collect_demonstrations(options: Rollout, workers: int, *, failures: bool) -> None:
    """Write the episodes of an expert as logs, and report their results."""
    task = options.task
    progress = StderrProgress()
    episodes = demonstrations.demonstrations(
        task, options.to, options.seeds, expert=_expert(options), workers=workers, failures=failures
    )
    runs = list(counted(episodes, len(options.seeds), "rollout", progress))
    summary = demonstrations.document(task, runs)
    if options.as_json:
        document(summary)
        return
    rows = [
        [result["seed"], result["success"], result["episode_return"], result["rows"]]
        for result in summary["runs"]
    ]
    table(f"demonstrations of {task.name}", ["seed", "success", "return", "rows"], rows[:20])
    succeeded = "" if summary["success"] is None else f", {summary['success']:.1%} succeeded"
    counts = f"{summary['written']} of {summary['episodes']} episodes"
    typer.echo(f"{counts} are in {options.to}{succeeded}")


def _expert(options: Rollout) -> Agent | None:
    """Return the expert: a planner, or a trained policy; None: the environment's expert."""
    if options.controller:
        execution = Execution(options.threads, options.provider)
        _, plans = planner(options.task, options.controller, options.model, execution)
        return PlannerExpert(options.task, plans)
    return None if options.model == "champion" else load(options.model)


def run_controller(
    options: Rollout, seconds: float | None, explore: float, report: Path | None
) -> None:
    """Run a controller in the task's plant."""
    task = options.task
    result = run(
        task,
        controller=options.controller,
        model=options.model,
        episodes=len(options.seeds),
        seed=options.seeds.start,
        seconds=seconds,
        explore=explore,
        threads=options.threads,
        provider=options.provider,
        to=options.to,
    )
    summary = result.document
    if report:
        name = summary["controller"]
        model = "the physics of the plant" if options.model == "true" else options.model
        planned = f"{name} plans on {model}"
        title = name if options.controller in PLAIN else planned
        publish_file(report, page(task, title, result.episodes, options.seeds).encode())
    summary["report"] = str(report) if report else None
    if options.as_json:
        document(summary)
    else:
        _print(summary)


def _print(summary: Json) -> None:
    table(
        f"{summary['controller']} on {summary['task']}, model {summary['model']}",
        ["seed", "success", "cost", "ms per action", "log"],
        [
            [run["seed"], run["success"], run["cost"], run["ms_per_action"], run["file"]]
            for run in summary["runs"]
        ],
    )
    typer.echo(
        f"{summary['successes']} of {len(summary['runs'])} succeeded, "
        f"cost {quantity(summary['cost'])}"
    )
    if summary["report"]:
        typer.echo(f"report  {summary['report']}")
