"""Data drift: whether new logs leave the training data, and whether the champion predicts them.

The verdict is the champion's own error on episodes it never saw, `verify.horizon` steps ahead, per
channel in its unit, against its error on the held-out episodes of its own dataset. The exported
rollout.onnx is what is asked. An episode drifts where an error is more than `retrain.drift_factor`
times what 95 % of held-out stretches of the same length stay below. Population stability index and
Kolmogorov-Smirnov distance of every channel tell how far the episode leaves what was learned from;
any new trajectory moves them, so they decide nothing.

The champion comes through `kinemill.task.protocols.Champion`: the registry is a later stage.
"""

from kinemill.validate.drift.stage import find_drift, latest_drift

__all__ = ["find_drift", "latest_drift"]
