"""Which training belongs to a run of Dagster: its folder, its length and its run in MLflow.

`refs/runs/<run>/training.json` is written when the training begins, beside what that run hands on.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from kinemill.store import publish_json, read_json
from kinemill.store.home import Home

DAGSTER_RUN = "kinemill/dagster_run"  # tag of an MLflow run


@dataclass(frozen=True)
class TrainingLink:
    """The training of a run.

    Attributes:
        folder: of its logs, from the home.
        steps: it is to make.
        mlflow_run: id of its run in MLflow; None where the model was known.
    """

    folder: str
    steps: int
    mlflow_run: str | None = None


def note_training(home: Home, dagster_run: str, link: TrainingLink) -> None:
    """Write down which training a run has begun, or found done."""
    publish_json(_file(home, dagster_run), asdict(link))


def noted_training(home: Home, dagster_run: str) -> TrainingLink | None:
    """Return which training a run has begun; None before that."""
    file = _file(home, dagster_run)
    return TrainingLink(**read_json(file)) if file.is_file() else None


def _file(home: Home, dagster_run: str) -> Path:
    return home.dagster / "refs" / "runs" / dagster_run / "training.json"
