"""Policies of `kinemill model transfer`: training under a variant, results under the others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kinemill.api.dataset import make_dataset
from kinemill.augment import stage as augment
from kinemill.cli.output import notify
from kinemill.policies.environments.evaluation import Agent, try_policy
from kinemill.policies.environments.factory import environment_of
from kinemill.policies.environments.rollout_logs import demonstrations
from kinemill.store import Home, Json
from kinemill.task import NullReporter, Task
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.policy_runner import as_policy

USUAL = "usual"


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
    trials = environment_of(task).trials
    seeds = range(trials.seed, trials.seed + trials.episodes)
    results: dict[str, dict[str, object]] = {}
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
    environment = environment_of(task, variant)
    fixed = {
        name: (value, value)
        for name, value in environment.variants[variant].items()
        if name not in type(environment).model_fields
    }
    changed = environment.model_copy(update={"randomize": {**environment.randomize, **fixed}})
    return task.model_copy(update={"environment": changed})


def train_policy(task: Task, variant: str, folder: Path, episodes: int, workers: int) -> Agent:
    """Train a policy from an expert under a variant, in a temporary home."""
    varied = task_under(task, variant)
    home = Home(folder / "home")
    notify(f"{variant}: {episodes} demonstrations")
    list(demonstrations(varied, folder / "logs", range(episodes), workers=workers))
    dataset = make_dataset(varied, folder / "logs", home=home).ref
    training_set = augment.run(varied, home, dataset).ref
    notify(f"{variant}: training")
    artifact = train.run(varied, home, dataset, training_set, (NullReporter(), NullReporter()))
    return as_policy(load_model(home.root / artifact.ref.path), task.name)
