"""`kinemill model rollout TASK` of a policy: its episodes as logs and videos."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from kinemill.cli.output import document, interval, quantity, table
from kinemill.errors import BadInput
from kinemill.store.home import Home

FILMS = "films"


@dataclass(frozen=True)
class Asked:
    """What is wanted of a rollout.

    Attributes:
        model: `champion`, `@alias`, `:3`, an address or a folder.
        variant: settings of the environment that differ.
        workers: processes.
        video: whether the first episodes are filmed.
        as_json: whether one document is printed.
    """

    model: str
    variant: str | None
    workers: int
    video: bool
    as_json: bool


def act(task: Any, to: Path, seeds: range, asked: Asked) -> None:
    """Let a registered policy act in its task's environment.

    Args:
        task: with an `environment` part.
        to: folder for the logs.
        seeds: of the starts.
        asked: how.
    """
    from kinemill.cli.progress import Spoken, counted
    from kinemill.environments.rollout_logs import averages, film_policy, roll_out
    from kinemill.runtime import load_policy

    where = address_of(task.name, asked.model)
    policy = load_policy(where)
    found = {"task": task.name, "model": where, "variant": asked.variant, "films": []}
    rolled = roll_out(task, policy, seeds, to, variant=asked.variant, workers=asked.workers)
    found |= averages(list(counted(rolled, len(seeds), "rollout", Spoken())))
    if asked.video:
        films = Home.resolve().root / FILMS / task.name
        found["films"] = film_policy(task, policy, seeds, films, variant=asked.variant)
    if asked.as_json:
        document(found)
    else:
        _print(found, to)


def refuse(given: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing to a policy.

    Raises:
        BadInput: one of them was given.
    """
    for name in (name for name, value in given.items() if value):
        raise BadInput(f"--{name}", "is of controllers", expected="none of it: a policy acts")


def address_of(task: str, model: str) -> str:
    """Return the address or folder that a short name of a version stands for."""
    if model == "champion":
        return f"models:/{task}@champion"
    if model.startswith("@"):
        return f"models:/{task}{model}"
    return f"models:/{task}/{model[1:]}" if model.startswith(":") else model


def _print(found: dict[str, Any], to: Path) -> None:
    table(
        f"{found['model']} in the environment of {found['task']}",
        ["seed", "return", "success", "steps"],
        [
            [one[name] for name in ("seed", "return", "success", "steps")]
            for one in found["episodes"]
        ],
    )
    ends = interval(found["return_interval"])
    told = f"return {quantity(found['return'])} on average ({ends})"
    if found["success"] is not None:
        told += f", {found['success']:.1%} succeeded"
    typer.echo(f"{told}; {len(found['episodes'])} logs in {to}")
    for path in found["films"]:
        typer.echo(f"film  {path}")
