"""Creation of a model version in MLflow: signature, files, tags, and lineage in both directions."""

import importlib
import math
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from kinemill.register import tags
from kinemill.register.bundle import model_files
from kinemill.runtime.integrity import SUMS, read_sums
from kinemill.store import fault_point
from kinemill.task import Task
from kinemill.tracking import Tracking
from kinemill.tracking.runs import DIGEST
from kinemill.verify.document import read_verification
from kinemill.verify.results import Metrics

CASES = "cases.npz"
REQUIREMENTS = ("onnx", "onnxruntime", "numpy")
_NEXT = "next_carry"


def create_version(
    tracking: Tracking, task: Task, bundle: Path, run_id: str, stamped: Mapping[str, str]
) -> int:
    """Log the bundle as an MLflow model and register it under the task's name.

    The version is created last, with all tags in one call. A crash before that leaves no version; a
    crash after it leaves a complete version without a decision. It returns the number of the new
    version.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    client = tracking.client
    logged = client.create_logged_model(
        client.get_run(run_id).info.experiment_id,
        name=task.name,
        source_run_id=run_id,
        tags={
            name: value
            for name, value in stamped.items()
            if name in (tags.DATASET, tags.COMMIT) or name.startswith("mlflow.")
        },
    )
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "model"
        save(bundle, folder, run_id, logged.model_id)
        client.log_model_artifacts(logged.model_id, str(folder))
    fault_point("register.uploaded")
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[
            Metric(
                name,
                value,
                now,
                0,
                model_id=logged.model_id,
                dataset_name=task.name,
                dataset_digest=stamped[tags.DATASET][:DIGEST],
                run_id=run_id,
            )
            for name, value in _metrics(read_verification(bundle).metrics).items()
        ],
    )
    _create_registered_model(client, task)
    with tracking.as_default():
        version = client.create_model_version(
            task.name,
            source=f"models:/{logged.model_id}",
            run_id=run_id,
            tags=dict(stamped),
            model_id=logged.model_id,
        )
    return int(version.version)


def save(bundle: Path, folder: Path, run_id: str, model_id: str) -> None:
    """Write the MLflow model: rollout.onnx or policy.onnx with its signature, and the bundle."""
    from mlflow.models import Model

    flavor = importlib.import_module("mlflow.onnx")
    model = ModelProto.FromString((bundle / model_files(bundle)[-1]).read_bytes())
    flavor.save_model(
        model,
        str(folder),
        signature=signature(model),
        input_example=input_example(model, bundle),
        # Given explicitly, because MLflow needs 3 s to detect them.
        pip_requirements=[f"{name}=={installed(name)}" for name in REQUIREMENTS],
        # With external data, MLflow would move the weights out of the model in memory.
        save_as_external_data=False,
        onnx_execution_providers=["CPUExecutionProvider"],
        mlflow_model=Model(artifact_path="model", run_id=run_id, model_id=model_id),
    )
    (folder / "bundle").mkdir()
    for name in (SUMS, *read_sums(bundle)):
        copy = folder / "bundle" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle / name, copy)


def signature(model: ModelProto) -> Any:
    """Return the MLflow model signature of an ONNX model: named tensors, -1 for a dynamic size.

    The carry after the last step of a rollout is left out: callers of a dynamics model cannot use
    it. A policy needs its carry in the next call.
    """
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def specs(values: Sequence[onnx.ValueInfoProto]) -> Schema:
        return Schema(
            [
                TensorSpec(
                    np.dtype(
                        onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
                    ),
                    tuple(
                        size.dim_value if size.HasField("dim_value") else -1
                        for size in value.type.tensor_type.shape.dim
                    ),
                    value.name,
                )
                for value in values
            ]
        )

    inputs = {value.name for value in model.graph.input}
    outputs = [
        value
        for value in model.graph.output
        if not value.name.startswith(_NEXT) or value.name.removeprefix("next_") in inputs
    ]
    return ModelSignature(inputs=specs(model.graph.input), outputs=specs(outputs))


def input_example(model: ModelProto, bundle: Path) -> dict[str, NDArray[np.generic]]:
    """Return the inputs of the first parity case, batch 1; zeros for inputs without a case."""
    import onnx

    with np.load(bundle / CASES, allow_pickle=False) as cases:
        example = dict[str, NDArray[np.generic]]()
        for value in model.graph.input:
            tensor = value.type.tensor_type
            shape = tuple(size.dim_value or 1 for size in tensor.shape.dim)
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            case = cases[value.name][:1] if value.name in cases else np.zeros(0)
            fits = case.ndim == len(shape)
            example[value.name] = case.astype(dtype) if fits else np.zeros(shape, dtype)
    return example


def _metrics(metrics: Metrics) -> dict[str, float]:
    """Return the finite numbers of `metrics` under the names they have in MLflow."""
    values = {channel: line.rmse for channel, line in metrics.test.items()}
    values |= {"nrmse": metrics.nrmse, **metrics.trial_metrics()}
    return {
        f"test/{what}/{name}": value
        for what, by_name in values.items()
        for name, value in by_name.items()
        if math.isfinite(value)
    }


def about(task: Task) -> str:
    """Return the description of a registered model, markdown: purpose and signals."""
    states, actions = (_signals(task, names) for names in (task.states, task.actions))
    what = (
        f"Dynamics model: predicts {states} every {task.dt:g} s from their past and from {actions}."
        if task.learn.type == "dynamics"
        else f"Policy: chooses {actions} every {task.dt:g} s."
        if actions
        else "Policy: chooses an action at each step of its environment."
    )
    robots = "Robots load the alias `champion`."
    return "\n\n".join(text for text in (task.description, what, robots) if text)


def _signals(task: Task, names: Sequence[str]) -> str:
    return ", ".join(f"{name} ({task.channels[name].unit})" for name in names)


def _create_registered_model(client: Any, task: Task) -> None:
    """Create the registered model of a task, unless it exists."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(task.name, description=about(task))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
