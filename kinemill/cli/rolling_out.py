"""Closed loop: a controller on the simulated robot, or a policy, its runs written as new logs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.say import Json, Overrides, TaskName, document, news, table

_PLAIN = ("zero", "random")  # policies that plan nothing, to compare with


def rollout(
    task: TaskName,
    controller: Annotated[
        str | None,
        typer.Option(
            "--controller",
            help="mppi, cem, predictive_sampling, dial, zero or random; default: the task's own.",
        ),
    ] = None,
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="Runs.")] = 1,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the logs; default: the drop folder.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="champion|true|FOLDER|models:/...",
            help="What plans are tried on; true is the physics of the plant itself. Or the policy: "
            "@alias or :3 as well.",
        ),
    ] = "champion",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the first run.")] = 0,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.0, help="Length; default: the task's.")
    ] = None,
    explore: Annotated[
        float, typer.Option("--explore", min=0.0, help="Noise on the actions, in half ranges.")
    ] = 0.0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of the model.")] = 1,
    report: Annotated[
        Path | None, typer.Option("--report", help="HTML page to write, with moving pictures.")
    ] = None,
    expert: Annotated[
        bool,
        typer.Option(
            "--expert",
            help="Demonstrations in the task's environment, by its expert, a --controller or the "
            "policy --model.",
        ),
    ] = False,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes of --expert or a policy.")
    ] = 1,
    failures: Annotated[
        bool, typer.Option("--failures", help="With --expert: keep episodes that failed, too.")
    ] = False,
    video: Annotated[
        bool, typer.Option("--video", help="Of a policy: film the first episodes.")
    ] = False,
    variant: Annotated[
        str | None, typer.Option("--variant", help="Of a policy: settings that differ, by name.")
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Run a controller in the task's plant, or a policy in its environment; its runs are logs."""
    from kinemill.control.report import page
    from kinemill.control.runs import run_and_log
    from kinemill.spec import load_task, parse_overrides
    from kinemill.store import publish_file

    changed = parse_overrides(overrides or [])
    if controller and controller not in _PLAIN:
        changed = {"control.controller.type": controller, **changed}
    loaded = load_task(task, changed)
    for note in loaded.notes:
        news(note)
    seeds = range(seed, seed + episodes)
    if expert:
        from kinemill.cli.demonstrating import demonstrate, shown_by

        planner = _policy(loaded, controller, model, threads)[1] if controller else None
        demonstrate(
            loaded,
            _folder(loaded, to),
            seeds,
            expert=shown_by(loaded, planner, None if model == "champion" else model),
            workers=workers,
            failures=failures,
            as_json=as_json,
        )
        return
    if loaded.learn.gives == "policy":
        from kinemill.cli.acting import Asked, act, refuse

        refuse({"controller": controller, "seconds": seconds, "explore": explore, "report": report})
        act(loaded, _folder(loaded, to), seeds, Asked(model, variant, workers, video, as_json))
        return
    name, policy = _policy(loaded, controller, model, threads)
    runs = run_and_log(
        loaded, (name, policy), seeds, _folder(loaded, to), seconds=seconds, explore=explore
    )
    found = {"task": loaded.name, "controller": name, "model": model, **runs.document}
    if report:
        title = name if controller in _PLAIN else f"{name}, plans tried on {model}"
        publish_file(report, page(loaded, title, runs.episodes, seeds).encode())
    found["report"] = str(report) if report else None
    if as_json:
        document(found)
    else:
        _print(found)


def _folder(task: Any, to: Path | None) -> Path:
    """Return where logs go: the folder that is watched, unless another is named."""
    from kinemill.home import Home

    watched = Path(task.ingest.watch) if task.ingest.watch else Home.resolve().logs(task.name)
    return to or watched


def _policy(task: Any, controller: str | None, model: str, threads: int) -> tuple[str, Any]:
    """Return the name of what chooses actions, and itself: a planner, or one without a plan."""
    from kinemill.control import learned_model, make_planner, plain_policy, uncertain_physics
    from kinemill.control.cost import control_of

    settings = control_of(task).controller
    if controller in _PLAIN:
        return controller or "", plain_policy(task, controller or "")
    if model == "true":
        return settings.type, make_planner(task, uncertain_physics(task, threads))
    where = f"models:/{task.name}@champion" if model == "champion" else model
    return settings.type, make_planner(task, [learned_model(task, where, threads)])


def _print(found: dict[str, Any]) -> None:
    table(
        f"{found['controller']} on {found['task']}, model {found['model']}",
        ["seed", "success", "cost", "ms an action", "log"],
        [
            [run["seed"], run["success"], run["cost"], run["ms_per_action"], run["file"]]
            for run in found["runs"]
        ],
    )
    typer.echo(f"{found['successes']} of {len(found['runs'])} succeeded, cost {found['cost']:.4g}")
    if found["report"]:
        typer.echo(f"report  {found['report']}")


COMMANDS = [rollout]
