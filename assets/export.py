"""ONNX model: one step and a whole rollout as files that run anywhere, physical units in and out.

From: model, and the dataset, of which parity cases are cut. Scaling, angles and integration are
inside the files, as are channel names, units, time step and history. `step.onnx` advances a step,
`rollout.onnx` a horizon in one call, for any batch. As the task's `export` part asks, step.c as
well, and the same in fewer bits, each measured. Refreshed with the model or that part.
"""

import dagster as dg

from assets.metadata import build_metadata, table
from assets.stage import Events, emit, get_task_resource, stage
from kinemill.store import ArtifactRef, Json
from kinemill.task import Task


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `onnx_model` of a task."""

    @stage(task, "onnx_model", __doc__, after=["model", "dataset"], kinds={"onnx"})
    def onnx_model(
        context: dg.AssetExecutionContext, model: ArtifactRef, dataset: ArtifactRef
    ) -> Events:
        from kinemill.export import export

        mill = get_task_resource(context)
        outcome = export(mill.task, mill.home, model, dataset)
        said = outcome.summary
        yield from emit(
            context,
            outcome,
            build_metadata(
                size=sum(said["bytes"].values()),
                onnx=table([{"file": name, "bytes": n} for name, n in said["bytes"].items()]),
                variants=table(
                    [{"variant": k, **one} for k, one in said.get("variants", {}).items()]
                ),
                c99=table([_flat(said["c99"])]) if said.get("c99") else None,
            ),
        )

    return onnx_model


def _flat(made: Json) -> Json:
    times = {f"{name}_us": value for name, value in made["latency_us"].items()}
    return {name: value for name, value in made.items() if name != "latency_us"} | times
