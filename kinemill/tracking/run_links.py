"""Links from Dagster runs to trainings: folder, number of steps, and MLflow run.

`refs/runs/<run>/training.json` is written when the training begins.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from kinemill.store import publish_json, read_json
from kinemill.store.home import Home

DAGSTER_RUN = "kinemill/dagster_run"  # tag of an MLflow run


@dataclass(frozen=True)
class TrainingLink:
    """The training of a Dagster run.

    Attributes:
        folder: folder of its logs, relative to the home.
        steps: number of training steps.
        mlflow_run: id of its MLflow run; None if the model was cached.
    """

    folder: str
    steps: int
    mlflow_run: str | None = None


def note_training(home: Home, dagster_run: str, link: TrainingLink) -> None:
    """Write the training that a run began or found cached."""
    publish_json(_file(home, dagster_run), asdict(link))


def noted_training(home: Home, dagster_run: str) -> TrainingLink | None:
    """Return the training of a run; None before it begins."""
    file = _file(home, dagster_run)
    return TrainingLink(**read_json(file)) if file.is_file() else None


def _file(home: Home, dagster_run: str) -> Path:
    return home.dagster / "refs" / "runs" / dagster_run / "training.json"
