"""Comparison of two versions on the same test split, or from the same starts of an environment."""

from dataclasses import replace

from kinemill.dataset import find_version as find_dataset
from kinemill.dataset import load_dataset
from kinemill.environments.evaluation import Trials
from kinemill.errors import BadInput
from kinemill.register import tags
from kinemill.register.comparison_results import (
    Compared,
    ComparedChannel,
    ComparedErrors,
    ComparedOutcome,
    ComparedStart,
    ComparedVersion,
    DynamicsComparison,
    PolicyComparison,
)
from kinemill.register.gate.evaluation import differences
from kinemill.register.gate.metric import metric_of
from kinemill.register.gate.paired_rollouts import roll_out
from kinemill.register.gate.policy_measurements import PolicyMeasurements
from kinemill.register.saved_task import task_of
from kinemill.register.versions import bundle_folder, find_version
from kinemill.runtime import load
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.verify.analysis import accuracy, window_counts
from kinemill.verify.analysis import compare as compare_errors
from kinemill.verify.comparison import NRMSE, Comparisons
from kinemill.verify.errors import Errors


def compare(task: Task, home: Home, a: str, b: str) -> DynamicsComparison | PolicyComparison:
    """Measure two versions on the test split of the newer of their two datasets.

    Policies run from the same starts in the environment instead, if there is one. The recorded task
    of the version with the newer dataset sets the horizon and the stride of windows.

    Raises:
        BadInput: The version does not exist, or their inputs differ.
        CorruptArtifact: Files of a version or the dataset are missing.
    """
    first, second = (find_version(home, task.name, which) for which in (a, b))
    models = [load(bundle_folder(home, one), non_finite="pass") for one in (first, second)]
    differs = differences(models[0].interface, models[1].interface)
    if any(not line.startswith("history ") for line in differs):
        text = "; ".join(differs).replace("champion", first.name).replace("challenger", second.name)
        raise BadInput(f"{task.name}{a} and {b}", f"cannot be compared: {text}")
    datasets = [find_dataset(home, task.name, one.require(tags.DATASET)) for one in (first, second)]
    newer = max(datasets, key=lambda version: version.number)
    task = task_of(home, task, (first, second)[datasets.index(newer)])
    evidence = PolicyMeasurements(task, home, newer.ref)
    compared = Compared(
        task=task.name,
        dataset=newer.number,
        a=ComparedVersion.of(first),
        b=ComparedVersion.of(second),
        differs=differs,
        better=None,
    )
    if metric_of(task).larger:
        return _compare_trials(evidence.trials(models[0]), evidence.trials(models[1]), compared)
    margin = task.promote.margin
    if task.learn.gives == "policy":
        one = evidence.errors(models[0])
        other = evidence.errors(models[1])
        return _compare_errors((one, other), other.compare(one, margin), compared)
    rows = load_dataset(home, newer.ref)
    history = max(model.history for model in models)
    a_run, b_run = (roll_out(model, rows, task, history) for model in models)
    horizons = compare_errors((b_run.errors, b_run.run), (a_run.errors, a_run.run), margin)
    return _compare_errors((a_run.errors, b_run.errors), horizons, compared)


def _compare_errors(
    errors: tuple[Errors, Errors], horizons: Comparisons, compared: Compared
) -> DynamicsComparison:
    """Return the comparison of errors on the same windows; `horizons` is `b` against `a`."""
    first, second = errors
    result = horizons[str(first.horizon)][NRMSE]
    better = "b" if result.high < 1.0 else "a" if result.low > 1.0 else None
    others = accuracy(second).channels
    return DynamicsComparison(
        **vars(replace(compared, better=better)),
        windows=replace(window_counts(first), effective_n=result.effective_n, unit=result.unit),
        nrmse=ComparedErrors(
            first.nrmse, second.nrmse, (result.low, result.high), result.detectable
        ),
        channels={
            name: ComparedChannel(line.unit, line, others[name])
            for name, line in accuracy(first).channels.items()
        },
        horizons=horizons,
    )


def _compare_trials(first: Trials, second: Trials, compared: Compared) -> PolicyComparison:
    """Return the comparison of outcomes from the same starts."""
    from kinemill.verify.policies.subject import gain_of  # imports onnx

    gain = gain_of(second, first)
    success = None
    low, high = gain.returns
    better = "b" if low > 0.0 else "a" if high < 0.0 else None
    if first.success is not None and second.success is not None and gain.success is not None:
        success = _compare_means(first.success, second.success, gain.success)
    pairs = zip(first.seeds, first.returns, second.returns, strict=True)
    return PolicyComparison(
        **vars(replace(compared, better=better)),
        returns=_compare_means(first.mean_return, second.mean_return, gain.returns),
        success=success,
        episodes=[ComparedStart(seed, one, other) for seed, one, other in pairs],
    )


def _compare_means(one: float, other: float, interval: tuple[float, float]) -> ComparedOutcome:
    return ComparedOutcome(one, other, other - one, interval)
