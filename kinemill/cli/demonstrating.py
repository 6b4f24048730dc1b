"""`kinemill rollout TASK --expert`: demonstrations, as logs to learn from."""

from pathlib import Path
from typing import Any

import typer

from kinemill.cli.say import document, table


def demonstrate(
    task: Any,
    to: Path,
    seeds: range,
    *,
    model: str | None,
    workers: int,
    failures: bool,
    as_json: bool,
) -> None:
    """Write an expert's episodes as logs, and say how they went.

    Args:
        task: with an `environment` part.
        to: folder for the logs.
        seeds: of the starts.
        model: a policy's folder or address, which acts instead of the environment's own expert.
        workers: processes.
        failures: whether episodes that failed are written, too.
        as_json: whether one document is printed.
    """
    from kinemill.environments import demonstrating

    found = demonstrating.demonstrate(
        task, to, seeds, expert=_policy(model), workers=workers, failures=failures
    )
    told = demonstrating.document(task, found)
    if as_json:
        document(told)
        return
    rows = [[one["seed"], one["success"], one["returned"], one["rows"]] for one in told["runs"]]
    title = f"{model or 'expert'} on {task.name}"
    table(title, ["seed", "success", "return", "rows"], rows[:20])
    said = "" if told["success"] is None else f", {told['success']:.1%} succeeded"
    typer.echo(f"{told['written']} of {told['episodes']} episodes are in {to}{said}")


def _policy(model: str | None) -> Any:
    if model is None:
        return None
    from kinemill.runtime import load

    return load(model)
