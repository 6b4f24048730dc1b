"""The same model in fewer bits: the published variants, tried on held-out windows as well.

That a variant costs little was measured on training windows, when it was made; here is what it
costs on the test split, and whether it behaves.
"""

import math
from pathlib import Path

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.export.quantized import loss_of
from kinemill.runtime import Simulator, load
from kinemill.verify.accuracy import gather, window_starts
from kinemill.verify.checklist import Gate
from kinemill.verify.test_inputs import MOST

WANTED = "finite, NaN in its row alone, a rollout is its steps"


def try_variants(
    folder: Path, original: Simulator, dataset: PackedDataset, horizon: int
) -> tuple[list[Gate], dict[str, float]]:
    """Run the variants of a model.

    Args:
        folder: with `rollout.fp16.onnx` and so on.
        original: the model in float32.
        dataset: with the test split.
        horizon: steps that errors are measured over.

    Returns:
        a line for each variant, and its nrmse on the test split beside that of `fp32`; none of
        either where there is no variant.
    """
    names = sorted(path.name.split(".")[1] for path in folder.glob("rollout.*.onnx"))
    if not names:
        return [], {}
    rows = original.history + horizon
    starts = window_starts(dataset, "test", rows, 1)
    chosen = np.linspace(0, len(starts) - 1, min(MOST, len(starts))).astype(np.int64)
    windows = gather(dataset, starts[chosen], original.history, horizon)
    gates, errors = list[Gate](), dict[str, float]()
    for name in names:
        variant = load(folder / f"rollout.{name}.onnx", non_finite="pass")
        loss = loss_of(variant, original, windows, math.inf)
        errors |= {name: loss.error, "fp32": loss.original}
        passed = not loss.why and math.isfinite(loss.error)
        gates.append(Gate(f"{name} behaves", passed, loss.why or "it does", WANTED))
    return gates, errors
