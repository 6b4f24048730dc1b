"""The stages of every task as Dagster assets: one module a stage, in the order of `CHAIN`.

An asset body is a sentence: read, call the library, say what came out, hand the reference on. What
the stages do is in `kinemill`; nothing here computes.
"""

# From a stage's module to the asset it makes. An edge may only run downwards; a test holds it.
CHAIN = {
    "ingest": "recordings",
    "validate": "episodes",
    "dataset": "dataset",
    "augment": "training_set",
    "train": "model",
    "export": "onnx_model",
    "verify": "verification",
    "register": "registered_model",
}
