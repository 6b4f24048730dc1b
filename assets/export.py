"""ONNX model: one step and a whole rollout as portable files, with physical units.

Inputs: model, and the dataset with the parity cases. The files contain scaling, angle handling and
integration, and channel names, units, time step and history as metadata. `step.onnx` computes one
step, `rollout.onnx` a horizon in one call, for any batch size. The task's `export` part enables
step.c. Rebuilt when the model or that part changes.
"""

from dataclasses import asdict
from pathlib import Path

import dagster as dg

from kinemill.export.summary import C99Facts, ExportSummary
from kinemill.store import ArtifactRef, Json, from_json_value
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.stage import ChainSettings, Events, emit, stage
from kinemill_dagster.resources.task_resource import TaskResource


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `onnx_model` of a task."""

    @stage(settings, "onnx_model", __doc__, after=["model", "dataset"], kinds={"onnx"})
    def onnx_model(
        context: dg.AssetExecutionContext,
        resource: TaskResource,
        model: ArtifactRef,
        dataset: ArtifactRef,
    ) -> Events:
        from kinemill.export import stage as export

        artifact = export.run(resource.task, resource.home, model, dataset)
        summary = from_json_value(artifact.summary, ExportSummary, Path(artifact.ref.path))
        yield from emit(
            context,
            artifact,
            build_metadata(
                size=sum(summary.bytes.values()),
                onnx=table([{"file": name, "bytes": n} for name, n in summary.bytes.items()]),
                c99=table([_flat(summary.c99)]) if summary.c99 else None,
            ),
        )

    return onnx_model


def _flat(facts: C99Facts) -> Json:
    times = {f"{name}_us": value for name, value in asdict(facts.latency_us).items()}
    return {name: value for name, value in asdict(facts).items() if name != "latency_us"} | times
