"""Export: the trained step becomes `step.onnx` and `rollout.onnx`, in task units, for any batch.

From the stage `model`; refreshed when the weights change. Weights, scaling, angles and integration
are inside each file, and so is its metadata: channel names, units, dt in s, history, limits, digest
of the dataset, versions. `io.yaml` says the same for people, with shapes and digests, and
`cases.npz` what a few windows must come to. On request step.c and step.h, and the same in half
precision or 8 bits.
"""

from kinemill.export.export import VERSION, export, prepare

__all__ = ["VERSION", "export", "prepare"]
