"""Verify: the exported files are judged, in a process of their own that sees nothing else.

From the stages `onnx_model`, `model` and `dataset`; refreshed when one of them or the task's
`verify` part changes. Checked are the files (valid, whole, metadata), parity with torch, what NaN
does, finiteness and latency in ms. Measured, for the gate to judge, is the error on the test split
per channel, in its unit, beside persistence and two linear models. `report.html` shows it all.
"""

from kinemill.verify.accuracy import Errors, Predictor, evaluate
from kinemill.verify.verify import VERSION, verify

__all__ = ["VERSION", "Errors", "Predictor", "evaluate", "verify"]
