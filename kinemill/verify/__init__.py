"""Verify: check and measure exported files in a separate process.

    artifact = stage.run(task, home, onnx_model, model, dataset)

The inputs are the artifacts `onnx_model`, `model` and `dataset`. Dynamics models (`dynamics`) and
policies (`policies.subject`) satisfy one protocol, `subject.Subject`, and share one verifier and
one report. The checks are valid and complete files, standard operators, metadata, parity with
torch, precision, NaN, invalid inputs, latency in ms, and physical checks of the task. The
measurements are errors on the test split per channel in its unit, also of the references; stability
over 1,000 steps, sensitivity to noise, throughput, and the closed loop or the environment.
"""

from kinemill.verify import stage

__all__ = ["stage"]
