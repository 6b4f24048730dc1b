"""`kinemill model transfer`: train under one environment variant, test under the others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.output import JsonOption, Overrides, TaskName, document, notify, quantity, table
from kinemill.environments.evaluation import Agent, try_policy
from kinemill.environments.factory import environment_of
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.task import load_task, parse_overrides
from kinemill.task.document import Task
from kinemill.task.environment import Environment
from kinemill.task.protocols import NullReporter

USUAL = "usual"


def transfer(
    task: TaskName,
    variants: Annotated[
        list[str] | None,
        typer.Option("--variant", help="Environment variant; default: all and the base one."),
    ] = None,
    episodes: Annotated[
        int, typer.Option("--episodes", min=4, help="Demonstrations per variant.")
    ] = 200,
    to: Annotated[
        Path | None, typer.Option("--to", help="Output folder; an existing one is resumed.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Parallel processes.")] = 1,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Train under each variant and test under all variants.

    Each policy learns from an expert under one variant of the environment.

    Example: kinemill model transfer reach --episodes 100
    """
    loaded = load_task(task, parse_overrides(overrides or []))
    names = variants or [USUAL, *_environment(loaded).variants]
    folder = to or Home.resolve().root / "transfer" / loaded.name
    models = {name: _train_policy(loaded, name, folder / name, episodes, workers) for name in names}
    results = matrix(loaded, models, names, workers)
    if as_json:
        document({"task": loaded.name, "episodes": episodes, "trained": results})
        return
    rows = [
        [trained, *(_spell_success(one) for one in under.values())]
        for trained, under in results.items()
    ]
    table("success, or return: trained under (row), tested under (column)", ["", *names], rows)


def _spell_success(one: Json) -> str:
    """Return the success of a policy as text, or its return if success is not reported."""
    return quantity(one["return"]) if one["success"] is None else f"{one['success']:.1%}"


def matrix(
    task: Task, models: Mapping[str, Agent], variants: Sequence[str], workers: int = 1
) -> dict[str, Json]:
    """Return success and return of each policy under each variant.

    Args:
        task: task with an `environment` part; its trials define the initial states.
        models: runtime policy by training variant.
        variants: test variants; `usual` has no changes.
        workers: number of processes.
    """
    trials = _environment(task).trials
    seeds = range(trials.seed, trials.seed + trials.episodes)
    results: dict[str, dict[str, Any]] = {}
    for trained, policy in models.items():
        results[trained] = {}
        for variant in variants:
            named = None if variant == USUAL else variant
            trials = try_policy(task, policy, seeds, variant=named, workers=workers)
            ends = trials.interval()
            results[trained][variant] = {
                "success": trials.success,
                "success_interval": list(ends["success"]) if trials.successes else None,
                "return": trials.mean_return,
                "return_interval": list(ends["return"]),
            }
    return results


def task_under(task: Task, variant: str) -> Task:
    """Return the task with the settings of a variant of its environment."""
    if variant == USUAL:
        return task
    own = environment_of(task, variant)
    fixed = {
        name: (value, value)
        for name, value in own.variants[variant].items()
        if name not in type(own).model_fields
    }
    changed = own.model_copy(update={"randomize": {**own.randomize, **fixed}})
    return task.model_copy(update={"environment": changed})


def _environment(task: Task) -> Environment:
    return environment_of(task)


def _train_policy(task: Task, variant: str, folder: Path, episodes: int, workers: int) -> Agent:
    """Train a policy from an expert under a variant, in a temporary home."""
    from kinemill.augment import stage as augment
    from kinemill.dataset import stage as dataset_stage
    from kinemill.environments.demonstrations import demonstrate
    from kinemill.ingest import stage as ingest
    from kinemill.train import load_model
    from kinemill.train import stage as train
    from kinemill.train.policy_runner import as_policy
    from kinemill.validate import stage as validate

    own, home = task_under(task, variant), Home(folder / "home")
    notify(f"{variant}: {episodes} demonstrations")
    demonstrate(own, folder / "logs", range(episodes), workers=workers)
    recordings = ingest.run(own, home, folder / "logs").artifact.ref
    dataset = dataset_stage.run(own, home, validate.run(own, home, recordings).ref).ref
    training_set = augment.run(own, home, dataset).ref
    notify(f"{variant}: training")
    artifact = train.run(own, home, dataset, training_set, (NullReporter(), NullReporter()))
    return as_policy(load_model(home.root / artifact.ref.path), task.name)
