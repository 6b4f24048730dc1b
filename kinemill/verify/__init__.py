"""Verify: the exported files are judged, in a process of their own that sees nothing else.

From the stages `onnx_model`, `model` and `dataset`; refreshed when one of them or the task's
`verify` part changes. Checked are the files (valid, whole, plain operators, metadata), parity with
torch over one step, the horizon and 200 steps, what rounding costs, what NaN and nonsense do,
finiteness, latency in ms, and physical sense where the task says what that is.
Measured, for the gate to judge, is the error
on the test split per channel, in its unit, beside persistence and two linear models; stability over
1,000 steps, sensitivity to noise, throughput, and the closed loop where there is a simulator.

A name is imported on first use: `kinemill model show` reads a sentence and needs no polars.
"""

import importlib
from typing import Any

from kinemill.verify.verify import VERSION, verify  # the module of that name would hide it

_MODULES = {
    "Comparison": "kinemill.verify.comparison",
    "Errors": "kinemill.verify.errors",
    "Predictor": "kinemill.runtime.window_metrics",
    "evaluate": "kinemill.verify.accuracy",
    "training_spread": "kinemill.verify.scale",
}

__all__ = ["VERSION", "verify"]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
