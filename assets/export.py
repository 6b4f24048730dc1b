"""ONNX model: one step and a whole rollout as files that run anywhere, physical units in and out.

From: model. Scaling, angles and integration are inside the files, as are channel names, units,
time step and history. `step.onnx` advances one step, `rollout.onnx` a horizon in one call, for any
batch. Refreshed with the model.
"""

import dagster as dg

from assets.stage import Events, hand_on, mill_of, stage
from assets.vocabulary import say
from kinemill.spec import Task
from kinemill.store import Ref


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `onnx_model` of a task."""

    @stage(task, "onnx_model", __doc__, after=["model"], kinds={"onnx"})
    def onnx_model(context: dg.AssetExecutionContext, model: Ref) -> Events:
        from kinemill.export import export

        mill = mill_of(context)
        outcome = export(mill.task, mill.home, model)
        yield from hand_on(context, outcome, say(size=sum(outcome.summary["bytes"].values())))

    return onnx_model
