"""`kinemill model rollout TASK` of a policy: its episodes as logs and videos."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from kinemill.cli.output import document, interval, quantity, table
from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.task.document import Task

FILMS = "films"


@dataclass(frozen=True)
class Options:
    """Options of a rollout.

    Attributes:
        model: `champion`, `@alias`, `:3`, an address or a folder.
        variant: settings of the environment that differ.
        workers: number of processes.
        video: whether to record the first episodes as a video.
        as_json: whether to print one document.
    """

    model: str
    variant: str | None
    workers: int
    video: bool
    as_json: bool


def rollout_policy(task: Task, to: Path, seeds: range, options: Options) -> None:
    """Run a registered policy in its task's environment.

    Args:
        task: with an `environment` part.
        to: folder for the logs.
        seeds: of the initial states.
        options: of the command line.
    """
    from kinemill.cli.progress import StderrProgress, counted
    from kinemill.environments.rollout_logs import averages, film_policy, roll_out
    from kinemill.runtime import load_policy

    where = address_of(task.name, options.model)
    policy = load_policy(where)
    summary = {"task": task.name, "model": where, "variant": options.variant, "films": []}
    rolled = roll_out(task, policy, seeds, to, variant=options.variant, workers=options.workers)
    summary |= averages(list(counted(rolled, len(seeds), "rollout", StderrProgress())))
    if options.video:
        films = Home.resolve().root / FILMS / task.name
        summary["films"] = film_policy(task, policy, seeds, films, variant=options.variant)
    if options.as_json:
        document(summary)
    else:
        _print(summary, to)


def refuse_options(values: Mapping[str, object]) -> None:
    """Refuse options that do not apply to a policy.

    Raises:
        BadInput: one of them was given.
    """
    for name in (name for name, value in values.items() if value):
        raise BadInput(f"--{name}", "is of controllers", expected="none of it: a policy acts")


def address_of(task: str, model: str) -> str:
    """Return the address or folder of a short name of a version."""
    if model == "champion":
        return f"models:/{task}@champion"
    if model.startswith("@"):
        return f"models:/{task}{model}"
    return f"models:/{task}/{model[1:]}" if model.startswith(":") else model


def _print(summary: Json, to: Path) -> None:
    table(
        f"{summary['model']} in the environment of {summary['task']}",
        ["seed", "return", "success", "steps"],
        [
            [one[name] for name in ("seed", "return", "success", "steps")]
            for one in summary["episodes"]
        ],
    )
    ends = interval(summary["return_interval"])
    text = f"return {quantity(summary['return'])} on average ({ends})"
    if summary["success"] is not None:
        text += f", {summary['success']:.1%} succeeded"
    typer.echo(f"{text}; {len(summary['episodes'])} logs in {to}")
    for path in summary["films"]:
        typer.echo(f"film  {path}")
