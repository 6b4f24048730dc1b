"""`kinemill model transfer`: train under one environment variant, test under the others."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import Output, Overrides, Table, TaskName, quantity
from kinemill.store import Home, Json


def transfer(
    task: TaskName,
    variants: Annotated[list[str] | None, typer.Option("--variant")] = None,
    episodes: Annotated[int, typer.Option(min=4)] = 200,
    to: Path | None = None,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    overrides: Overrides = None,
) -> Output:
    """Train under each variant and test under all variants.

    Each policy learns from an expert under one variant of the environment.

    Example: kinemill model transfer reach --episodes 100

    Args:
        variants: Environment variant; default: all and the base one.
        episodes: Demonstrations per variant.
        to: Output folder; an existing one is resumed.
        workers: Parallel processes.
    """
    from kinemill.cli.transfer_matrix import USUAL, matrix, train_policy
    from kinemill.policies.environments.factory import environment_of
    from kinemill.task import load_task, parse_overrides

    loaded = load_task(task, parse_overrides(overrides or []))
    names = variants or [USUAL, *environment_of(loaded).variants]
    folder = to or Home.resolve().root / "transfer" / loaded.name
    models = {name: train_policy(loaded, name, folder / name, episodes, workers) for name in names}
    results = matrix(loaded, models, names, workers)
    rows = [
        [trained, *(_spell_success(result) for result in under.values())]
        for trained, under in results.items()
    ]
    title = "success, or return: trained under (row), tested under (column)"
    document = {"task": loaded.name, "episodes": episodes, "trained": results}
    return Output(document, Table(title, ["", *names], rows))


def _spell_success(result: Json) -> str:
    """Return the success of a policy as text, or its return if success is not reported."""
    return quantity(result["return"]) if result["success"] is None else f"{result['success']:.1%}"
