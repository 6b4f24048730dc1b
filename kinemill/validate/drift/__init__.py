"""Data drift: new logs that leave the training data, or that the champion predicts worse.

The measure is the champion's own error on episodes that are not in its dataset, `verify.horizon`
steps ahead, per state in its unit. It is compared with the error on the held-out episodes of its
dataset; both use the exported rollout.onnx. An episode drifts if an error is more than
`retrain.drift_factor` times the bound that 95 % of held-out stretches of the same length keep. The
population stability index of every channel measures how far an episode leaves the training data. It
is only reported, because any new trajectory changes it.

The champion is passed as `kinemill.task.protocols.Champion`: the registry is a later stage.
"""

from kinemill.validate.drift.stage import find_drift, latest_drift

__all__ = ["find_drift", "latest_drift"]
