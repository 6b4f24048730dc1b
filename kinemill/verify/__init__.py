"""Verify: check and measure exported files in a separate process.

    artifact = stage.run(task, home, onnx_model, model, dataset)

The inputs are the artifacts `onnx_model`, `model` and `dataset`. Dynamics models (`dynamics`) and
policies (`policies.subject`) satisfy one protocol, `subject.Subject`, and share one verifier and
one report. The checks are valid and complete files, standard operators, metadata, parity with
torch, precision, NaN, invalid inputs, latency in ms, and physical checks of the task. The
measurements are errors on the test split per channel in its unit, also of the references; stability
over 1,000 steps, sensitivity to noise, throughput, and the closed loop or the environment.

Names are imported on first use, because `kinemill model show` must not import polars.
"""

import importlib
from typing import Any

from kinemill.verify import stage

_MODULES = {
    "Comparison": "kinemill.verify.comparison",
    "Errors": "kinemill.verify.errors",
    "Predictor": "kinemill.runtime.window_metrics",
    "evaluate": "kinemill.verify.accuracy",
    "training_std": "kinemill.verify.scale",
}

__all__ = ["stage"]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
