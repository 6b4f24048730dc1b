"""Links from Dagster runs to trainings: folder, number of steps, and MLflow run.

The start of a training writes `refs/runs/<run>/training.json`.
"""

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from kinemill.store import Home, publish_json, read_json
from kinemill.store.versioned_cache import file_version

_STEPS = "steps.json"
DAGSTER_RUN = "kinemill/dagster_run"  # tag of an MLflow run


@dataclass(frozen=True)
class TrainingLink:
    """The training of a Dagster run.

    Attributes:
        folder: folder of its logs, relative to the home.
        steps: number of training steps; None if `learn.epochs` defines it.
        mlflow_run: id of its MLflow run; None if the model was cached.
    """

    folder: str
    steps: int | None
    mlflow_run: str | None = None


def note_training(home: Home, dagster_run: str, link: TrainingLink) -> None:
    """Record the new or cached training of a run."""
    publish_json(_file(home, dagster_run), asdict(link))


def noted_training(home: Home, dagster_run: str) -> TrainingLink | None:
    """Return the training of a run; None before its start."""
    file = _file(home, dagster_run)
    version = file_version(file)
    return None if version is None else _read(file, version)


@lru_cache(maxsize=2000)
def _read(file: Path, _version: Hashable) -> TrainingLink:
    return TrainingLink(**read_json(file))


def note_steps(folder: Path, steps: int) -> None:
    """Record the number of steps from `learn.epochs` in the folder of a training."""
    publish_json(folder / _STEPS, {"steps": steps})


def total_steps(home: Home, link: TrainingLink) -> int | None:
    """Return the number of steps of a training; None before it is computed."""
    file = home.root / link.folder / _STEPS
    if link.steps is not None or not file.is_file():
        return link.steps
    return int(read_json(file)["steps"])


def _file(home: Home, dagster_run: str) -> Path:
    return home.dagster / "refs" / "runs" / dagster_run / "training.json"
