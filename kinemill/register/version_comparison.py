"""Comparison of two versions on the same test split, or from the same starts of an environment."""

from kinemill.dataset import find_version as find_dataset
from kinemill.errors import BadInput
from kinemill.register import tags
from kinemill.register.comparison_results import (
    Compared,
    ComparedVersion,
    DynamicsComparison,
    PolicyComparison,
)
from kinemill.register.gate.evaluation import differences, make_measurements
from kinemill.register.saved_task import task_of
from kinemill.register.versions import bundle_folder, find_version
from kinemill.runtime import load
from kinemill.store.home import Home
from kinemill.task import Task


def compare(task: Task, home: Home, a: str, b: str) -> DynamicsComparison | PolicyComparison:
    """Measure two versions on the test split of the newer of their two datasets.

    Policies run from the same starts in the environment instead, if there is one. The recorded task
    of the version with the newer dataset sets the horizon and the stride of windows.

    Raises:
        BadInput: The version does not exist, or their inputs differ.
        CorruptArtifact: Files of a version or the dataset are missing.
    """
    first, second = (find_version(home, task.name, which) for which in (a, b))
    models = [load(bundle_folder(home, version), non_finite="pass") for version in (first, second)]
    differs = differences(models[0].interface, models[1].interface)
    if any(not line.startswith("history ") for line in differs):
        text = "; ".join(differs).replace("champion", first.name).replace("challenger", second.name)
        raise BadInput(f"{task.name}{a} and {b}", f"cannot be compared: {text}")
    datasets = [
        find_dataset(home, task.name, version.require(tags.DATASET)) for version in (first, second)
    ]
    newer = max(datasets, key=lambda version: version.number)
    task = task_of(home, task, (first, second)[datasets.index(newer)])
    compared = Compared(
        task=task.name,
        dataset=newer.number,
        a=ComparedVersion.of(first),
        b=ComparedVersion.of(second),
        differs=differs,
        better=None,
    )
    return make_measurements(task, home, newer.ref).compare_versions(models[0], models[1], compared)
