"""`kinemill model rollout`: run a controller or a policy in closed loop; each run is a new log."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.output import Output, Overrides, Table, TaskName, interval, notify, quantity
from kinemill.errors import BadInput
from kinemill.store import Json

_LISTED = 20  # printed demonstrations


def rollout(
    task: TaskName,
    controller: str | None = None,
    episodes: Annotated[int, typer.Option(min=1)] = 1,
    to: Path | None = None,
    model: Annotated[str, typer.Option(metavar="champion|true|FOLDER|models:/...")] = "champion",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    seconds: Annotated[float | None, typer.Option(min=0.0)] = None,
    explore: Annotated[float, typer.Option(min=0.0)] = 0.0,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    provider: str = "cpu",
    report: Path | None = None,
    expert: bool = False,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    failures: bool = False,
    video: bool = False,
    variant: str | None = None,
    policy: str | None = None,
    overrides: Overrides = None,
) -> Output:
    """Run a controller or a policy and log its episodes.

    A controller runs in the task's plant, and a policy in its environment.

    Example: kinemill model rollout pendulum --controller mppi --episodes 5

    Args:
        controller: mppi, cem, cma_es, predictive_sampling, dial, zero or random; default: the
            task's.
        episodes: Number of episodes.
        to: Log folder; default: the drop folder.
        model: Model that simulates the plans; true: the physics of the plant. Or a policy, also
            @alias or :3.
        seed: Seed of the first episode.
        seconds: Episode length in seconds; default: from the task.
        explore: Exploration noise, relative to half the action range.
        threads: CPU threads of the model.
        provider: Execute the model on cpu, cuda or tensorrt.
        report: HTML report to write, with animations.
        expert: Demonstrations in the task's environment by its expert, a --controller or the policy
            --model.
        workers: Parallel processes, for --expert or a policy.
        failures: With --expert: also keep failed episodes.
        video: For a policy: record videos of the first episodes.
        variant: For a policy: environment variant.
        policy: In place of a model: random, zero, module:Class or file.py:Class.
    """
    from kinemill.api import rollouts
    from kinemill.task import parse_overrides

    loaded = rollouts.task_with_controller(task, controller, parse_overrides(overrides or []))
    notify(*loaded.notes)
    folder = rollouts.log_folder(loaded, to)
    shared: dict[str, Any] = {"episodes": episodes, "seed": seed, "to": folder}
    executed: dict[str, Any] = {"controller": controller, "threads": threads, "provider": provider}
    if expert:
        return _demonstrations(
            rollouts.demonstrate(
                loaded, model=model, workers=workers, failures=failures, **shared, **executed
            ),
            folder,
        )
    if loaded.learn.gives == "policy":
        _refuse(controller=controller, seconds=seconds, explore=explore, report=report)
        policies: dict[str, Any] = {"variant": variant, "workers": workers, "video": video}
        rolled = rollouts.rollout_policy(loaded, model=model, policy=policy, **policies, **shared)
        return _policy_episodes(rolled.document, folder)
    if policy is not None:
        raise BadInput("--policy", "applies to policies", fix=f"--controller {policy}")
    run = rollouts.rollout(
        loaded, model=model, seconds=seconds, explore=explore, **shared, **executed
    )
    if report:
        run.write_page(report)
    return _controller_episodes(run.document | {"report": str(report) if report else None})


def _refuse(**options: object) -> None:
    """Check that no option is set that does not apply to policies.

    Raises:
        BadInput: Such an option is set.
    """
    for name in (name for name, value in options.items() if value):
        raise BadInput(
            f"--{name}", "applies to controllers", expected="no such option for a policy"
        )


def _demonstrations(summary: Json, folder: Path) -> Output:
    share = summary["success"]
    succeeded = "" if share is None else f", {share:.1%} succeeded"
    rows = [run | {"return": run["episode_return"]} for run in summary["runs"][:_LISTED]]
    title = f"demonstrations of {summary['task']}"
    return Output(
        summary,
        Table(title, ["seed", "success", "return", "rows"], rows),
        f"{summary['written']} of {summary['episodes']} episodes are in {folder}{succeeded}",
    )


def _controller_episodes(summary: Json) -> Output:
    runs = [
        run | {"ms per action": run["ms_per_action"], "log": run["file"]} for run in summary["runs"]
    ]
    good = summary["successes"]
    success = [] if good is None else ["success"]
    succeeded = "" if good is None else f"{good} of {len(runs)} succeeded, "
    title = f"{summary['controller']} on {summary['task']}, model {summary['model']}"
    return Output(
        summary,
        Table(title, ["seed", *success, "cost", "ms per action", "log"], runs),
        f"{succeeded}cost {quantity(summary['cost'])}",
        *([f"report  {summary['report']}"] if summary["report"] else []),
    )


def _policy_episodes(summary: Json, folder: Path) -> Output:
    episodes = summary["episodes"]
    share = summary["success"]
    succeeded = "" if share is None else f", {share:.1%} succeeded"
    mean = f"return {quantity(summary['return'])} on average"
    title = f"{summary['model']} in the environment of {summary['task']}"
    return Output(
        summary,
        Table(title, ["seed", "return", "success", "steps"], episodes),
        f"{mean} ({interval(summary['return_interval'])}){succeeded}; {len(episodes)} logs in "
        f"{folder}",
        *(f"video  {path}" for path in summary["videos"]),
    )
