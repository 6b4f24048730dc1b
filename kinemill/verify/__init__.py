"""Verify: the exported files are judged, in a process of their own that sees nothing else.

From the stages `onnx_model`, `model` and `dataset`; refreshed when one of them or the task's
`verify` part changes. Checked are the files (valid, whole, plain operators, metadata), parity with
torch over one step, the horizon and 200 steps, what NaN and nonsense do, finiteness, latency in ms,
and physical sense where the task says what that is. Measured, for the gate to judge, is the error
on the test split per channel, in its unit, beside persistence and two linear models; stability over
1,000 steps, sensitivity to noise, throughput, and the closed loop where there is a simulator.
"""

from kinemill.runtime.windows import Predictor
from kinemill.verify.accuracy import evaluate
from kinemill.verify.comparison import Comparison
from kinemill.verify.errors import Errors
from kinemill.verify.scale import training_spread
from kinemill.verify.verify import VERSION, verify

__all__ = ["VERSION", "Comparison", "Errors", "Predictor", "evaluate", "training_spread", "verify"]
