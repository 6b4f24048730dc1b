"""Comparison of two versions: errors by channel and horizon, on the same test split."""

from dataclasses import dataclass, replace

from kinemill.dataset import find_version as find_dataset
from kinemill.dataset import load_dataset
from kinemill.errors import BadInput
from kinemill.register import tags
from kinemill.register.comparison_results import (
    ComparedChannel,
    ComparedErrors,
    ComparedVersion,
    DynamicsComparison,
    PolicyComparison,
)
from kinemill.register.consistency import open_registry
from kinemill.register.gate.evaluation import differences
from kinemill.register.gate.metric import metric_of
from kinemill.register.gate.paired_rollouts import roll_out
from kinemill.register.gate.policy_measurements import PolicyMeasurements
from kinemill.register.policy_comparison import ComparedPolicies, policy_comparison
from kinemill.register.saved_task import task_of
from kinemill.register.versions import Version, bundle_folder, find_version
from kinemill.runtime import load
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.verify.analysis import accuracy, window_counts
from kinemill.verify.analysis import compare as compare_errors
from kinemill.verify.comparison import NRMSE, Comparisons
from kinemill.verify.errors import Errors


@dataclass(frozen=True)
class ComparedVersions:
    """Two versions, `a` and `b`, on the same windows.

    Attributes:
        a, b: the versions.
        errors: errors of both, on the test split of the newer of their two datasets.
        horizons: `b` against `a` at every horizon and, for dynamics models, over whole episodes.
        number: number of that dataset in the catalog.
        differs: differences of their interfaces.
    """

    a: Version
    b: Version
    errors: tuple[Errors, Errors]
    horizons: Comparisons
    number: int
    differs: list[str]


def compare(task: Task, home: Home, a: str, b: str) -> ComparedVersions | ComparedPolicies:
    """Measure two versions on the test split of the newer of their two datasets.

    Policies run from the same starts in the environment instead, if there is one.

    Args:
        task: the task. The recorded task of the version with the newer dataset sets the horizon
            and the stride of windows.
        home: home with the registry.
        a: `:number` or `@alias`.
        b: `:number` or `@alias`.

    Raises:
        BadInput: The version does not exist, or their inputs differ.
        CorruptArtifact: Files of a version or the dataset are missing.
    """
    tracking = open_registry(home, task.name)
    first, second = (find_version(tracking.home, task.name, which) for which in (a, b))
    models = [load(bundle_folder(tracking.home, one), non_finite="pass") for one in (first, second)]
    differs = differences(models[0].interface, models[1].interface)
    if any(not line.startswith("history ") for line in differs):
        text = "; ".join(differs).replace("champion", first.name).replace("challenger", second.name)
        raise BadInput(f"{task.name}{a} and {b}", f"cannot be compared: {text}")
    datasets = [find_dataset(home, task.name, one.tags[tags.DATASET]) for one in (first, second)]
    newer = max(datasets, key=lambda version: version.number)
    task = task_of(home, task, (first, second)[datasets.index(newer)])
    evidence = PolicyMeasurements(task, home, newer.ref)
    if metric_of(task).larger:
        trials = evidence.trials(models[0]), evidence.trials(models[1])
        return ComparedPolicies(first, second, trials, newer.number, differs)
    margin = task.promote.margin
    if task.learn.gives == "policy":
        one, other = evidence.errors(models[0]), evidence.errors(models[1])
        horizons = other.compare(one, margin)
        return ComparedVersions(first, second, (one, other), horizons, newer.number, differs)
    rows, history = load_dataset(home, newer.ref), max(model.history for model in models)
    a_run, b_run = (roll_out(model, rows, task, history) for model in models)
    horizons = compare_errors((b_run.errors, b_run.run), (a_run.errors, a_run.run), margin)
    errors = a_run.errors, b_run.errors
    return ComparedVersions(first, second, errors, horizons, newer.number, differs)


def comparison_document(
    compared: ComparedVersions | ComparedPolicies,
) -> DynamicsComparison | PolicyComparison:
    """Return the content of comparison.json."""
    if isinstance(compared, ComparedPolicies):
        return policy_comparison(compared)
    first, second = compared.errors
    result = compared.horizons[str(first.horizon)][NRMSE]
    others = accuracy(second).channels
    return DynamicsComparison(
        task=compared.a.task,
        dataset=compared.number,
        windows=replace(window_counts(first), effective_n=result.effective_n, unit=result.unit),
        a=ComparedVersion.of(compared.a),
        b=ComparedVersion.of(compared.b),
        nrmse=ComparedErrors(
            first.nrmse, second.nrmse, (result.low, result.high), result.detectable
        ),
        channels={
            name: ComparedChannel(line.unit, line, others[name])
            for name, line in accuracy(first).channels.items()
        },
        horizons=compared.horizons,
        differs=compared.differs,
        better="b" if result.high < 1.0 else "a" if result.low > 1.0 else None,
    )
