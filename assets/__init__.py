"""The stages of every task as Dagster assets: one module per stage, in the order of `CHAIN`.

An asset body reads its inputs, calls `kinemill`, and emits metadata, check results and a reference.
It computes nothing itself.
"""

from kinemill.task import Task

# Asset by module of the stage. A stage depends only on stages above it, checked by a test.
CHAIN = {
    "ingest": "recordings",
    "validate": "episodes",
    "dataset": "dataset",
    "augment": "training_set",
    "references": "references",
    "train": "model",
    "export": "onnx_model",
    "verify": "verification",
    "register": "registered_model",
}
STAGE_OF = {asset: stage for stage, asset in CHAIN.items()}

_OF_LOGS = ("ingest", "validate", "augment")
_OF_DYNAMICS = ("references",)


def stages_of(task: Task) -> dict[str, str]:
    """Return the stages of a task, a subset of `CHAIN`.

    Tasks without logs start at `dataset`; policies have no references.
    """
    left_out = () if task.learn.from_logs else _OF_LOGS
    left_out += () if task.learn.gives == "dynamics" else _OF_DYNAMICS
    return {stage: asset for stage, asset in CHAIN.items() if stage not in left_out}
