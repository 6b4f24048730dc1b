"""ONNX model: one step and a whole rollout as files that run anywhere, physical units in and out.

From: model, and the dataset, of which parity cases are cut. Scaling, angles and integration are
inside the files, as are channel names, units, time step and history. `step.onnx` advances a step,
`rollout.onnx` a horizon in one call, for any batch. As the task's `export` part asks, step.c as
well, and the same in fewer bits, each measured. Refreshed with the model or that part.
"""

import dagster as dg

from assets.stage import Events, hand_on, mill_of, stage
from assets.vocabulary import say
from kinemill.spec import Task
from kinemill.store import Ref


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `onnx_model` of a task."""

    @stage(task, "onnx_model", __doc__, after=["model", "dataset"], kinds={"onnx"})
    def onnx_model(context: dg.AssetExecutionContext, model: Ref, dataset: Ref) -> Events:
        from kinemill.export import export

        mill = mill_of(context)
        outcome = export(mill.task, mill.home, model, dataset)
        yield from hand_on(context, outcome, say(size=sum(outcome.summary["bytes"].values())))

    return onnx_model
