"""`kinemill model rollout TASK` of a policy: its episodes as logs and videos."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from kinemill.cli.output import document, interval, quantity, table
from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill.task.document import Task


@dataclass(frozen=True)
class Options:
    """Options of a rollout.

    Attributes:
        model: `champion`, `@alias`, `:3`, an address or a folder.
        policy: `random`, `zero`, `module:Class` or `file.py:Class`, in place of a model.
        variant: variant of the environment's settings.
        workers: number of processes.
        video: whether to record the first episodes as a video.
        as_json: whether to print a JSON document.
    """

    model: str
    policy: str | None
    variant: str | None
    workers: int
    video: bool
    as_json: bool


def rollout_policy(task: Task, to: Path, seeds: range, options: Options) -> None:
    """Run a registered policy in its task's environment."""
    from kinemill.api.rollouts import rollout_policy as run

    summary = run(
        task,
        model=options.model,
        policy=options.policy,
        episodes=len(seeds),
        seed=seeds.start,
        variant=options.variant,
        workers=options.workers,
        video=options.video,
        to=to,
    ).document
    if options.as_json:
        document(summary)
    else:
        _print(summary, to)


def refuse_options(values: Mapping[str, object]) -> None:
    """Check that no option is set that does not apply to policies.

    Raises:
        BadInput: Such an option is set.
    """
    for name in (name for name, value in values.items() if value):
        raise BadInput(
            f"--{name}", "applies to controllers", expected="no such option for a policy"
        )


def _print(summary: Json, to: Path) -> None:
    table(
        f"{summary['model']} in the environment of {summary['task']}",
        ["seed", "return", "success", "steps"],
        [
            [episode[name] for name in ("seed", "return", "success", "steps")]
            for episode in summary["episodes"]
        ],
    )
    ends = interval(summary["return_interval"])
    text = f"return {quantity(summary['return'])} on average ({ends})"
    if summary["success"] is not None:
        text += f", {summary['success']:.1%} succeeded"
    typer.echo(f"{text}; {len(summary['episodes'])} logs in {to}")
    for path in summary["videos"]:
        typer.echo(f"video  {path}")
