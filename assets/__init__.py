"""The stages of every task as Dagster assets: one module a stage, in the order of `CHAIN`.

An asset body is a sentence: read, call the library, say what came out, hand the reference on. What
the stages do is in `kinemill`; nothing here computes.
"""

from kinemill.task import Task

# From a stage's module to the asset it makes. An edge may only run downwards; a test holds it.
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

_OF_LOGS = ("ingest", "validate", "augment")
_OF_DYNAMICS = ("references",)


def stages_of(task: Task) -> dict[str, str]:
    """Return the part of `CHAIN` that a task has.

    What learns without logs begins at `dataset`; policies have no references.
    """
    left_out = () if task.learn.from_logs else _OF_LOGS
    left_out += () if task.learn.gives == "dynamics" else _OF_DYNAMICS
    return {stage: asset for stage, asset in CHAIN.items() if stage not in left_out}
