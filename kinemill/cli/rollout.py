"""`kinemill model rollout`: run a controller or a policy in closed loop; each run is a new log."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, Overrides, TaskName, document, notify, quantity, table
from kinemill.store import Json, publish_file
from kinemill.task import parse_overrides
from kinemill.task.document import Task

Controller = Annotated[
    str | None,
    typer.Option(
        "--controller",
        help="mppi, cem, predictive_sampling, dial, zero or random; default: from the task.",
    ),
]
Episodes = Annotated[int, typer.Option("--episodes", min=1, help="Number of episodes.")]
To = Annotated[Path | None, typer.Option("--to", help="Log folder; default: the drop folder.")]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="champion|true|FOLDER|models:/...",
        help="Model that simulates the plans; true: the physics of the plant. Or a policy, also "
        "@alias or :3.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first episode.")]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", min=0.0, help="Episode length in seconds; default: from the task."),
]
Explore = Annotated[
    float,
    typer.Option(
        "--explore", min=0.0, help="Exploration noise, relative to half the action range."
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads of the model.")]
Provider = Annotated[
    str, typer.Option("--provider", help="Execute the model on cpu, cuda or tensorrt.")
]
Report = Annotated[
    Path | None, typer.Option("--report", help="HTML report to write, with animations.")
]
Expert = Annotated[
    bool,
    typer.Option(
        "--expert",
        help="Demonstrations in the task's environment by its expert, a --controller or the "
        "policy --model.",
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Parallel processes, for --expert or a policy.")
]
Failures = Annotated[
    bool, typer.Option("--failures", help="With --expert: also keep failed episodes.")
]
Video = Annotated[
    bool, typer.Option("--video", help="For a policy: record videos of the first episodes.")
]
Variant = Annotated[
    str | None, typer.Option("--variant", help="For a policy: environment variant.")
]


@dataclass(frozen=True)
class _Rollout:
    """Options of every rollout.

    Attributes:
        task: the task.
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


def rollout(
    task: TaskName,
    controller: Controller = None,
    episodes: Episodes = 1,
    to: To = None,
    model: Model = "champion",
    seed: Seed = 0,
    seconds: Seconds = None,
    explore: Explore = 0.0,
    threads: Threads = 1,
    provider: Provider = "cpu",
    report: Report = None,
    expert: Expert = False,
    workers: Workers = 1,
    failures: Failures = False,
    video: Video = False,
    variant: Variant = None,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Run a controller or a policy and log its episodes.

    A controller runs in the task's plant, and a policy in its environment.

    Example: kinemill model rollout pendulum --controller mppi --episodes 5
    """
    from kinemill.api.rollouts import log_folder, task_with_controller

    loaded = task_with_controller(task, controller, parse_overrides(overrides or []))
    notify(*loaded.notes)
    seeds = range(seed, seed + episodes)
    folder = log_folder(loaded, to)
    options = _Rollout(loaded, controller, model, threads, provider, seeds, folder, as_json)
    if expert:
        _demonstrate(options, workers, failures=failures)
        return
    if loaded.learn.gives == "policy":
        from kinemill.cli.policy_rollout import Options, refuse_options, rollout_policy

        refuse_options(
            {"controller": controller, "seconds": seconds, "explore": explore, "report": report}
        )
        rollout_policy(loaded, options.to, seeds, Options(model, variant, workers, video, as_json))
        return
    _control(options, seconds, explore, report)


def _demonstrate(options: _Rollout, workers: int, *, failures: bool) -> None:
    """Record demonstrations of a planner, a trained policy, or the environment's expert."""
    from kinemill.api.rollouts import planner
    from kinemill.cli.collect_demos import demonstrate, load_expert
    from kinemill.runtime.session import Execution

    task, model = options.task, None if options.model == "champion" else options.model
    execution = Execution(options.threads, options.provider)
    named = (task, options.controller, options.model, execution)
    plans = planner(*named)[1] if options.controller else None
    demonstrate(
        task,
        options.to,
        options.seeds,
        expert=load_expert(task, plans, model),
        workers=workers,
        failures=failures,
        as_json=options.as_json,
    )


def _control(options: _Rollout, seconds: float | None, explore: float, report: Path | None) -> None:
    """Run a controller in the task's plant."""
    from kinemill.api.rollouts import PLAIN
    from kinemill.api.rollouts import rollout as run
    from kinemill.control.report import page

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
