"""Dataset inputs of MLflow runs: name, digest and size."""

import json
from typing import Any

from kinemill.store import Json

DIGEST = 32  # characters; MLflow takes at most 36


def log_dataset(client: Any, run_id: str | None, name: str, digest: str, summary: Json) -> None:
    """Log the training dataset of a run. Repeated calls have no effect.

    Args:
        client: an `MlflowClient`.
        run_id: the run.
        name: name of the dataset, equal to that of the task.
        digest: digest of the dataset version; MLflow stores a prefix.
        summary: summary with `episodes` and `rows` by split.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    counts = {key: summary[key] for key in ("episodes", "rows") if key in summary}
    dataset = Dataset(
        name=name,
        digest=digest[:DIGEST],
        source_type="kinemill",
        source=json.dumps({"dataset": digest}),
        profile=json.dumps(counts),
    )
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])
