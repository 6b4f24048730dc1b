"""Architectures, one file each: the settings of a network and how to build it.

A member of the family is a `Plugin` with `build(inputs, outputs) -> network`; see `mlp.py`.
`train.step` does features, scaling, angles and integration for all of them.

A model of physical values, such as equations of motion, defines `build_for(layout, scale)` instead
and sets `physical = True` on its network. The network then receives, in task units and in the order
of `layout`, `(state (B, S), action (B, A), features (B, F), carry...)`. It may use the features for
a learned part, and returns outputs (B, O) in their own units: rad/s² where an output is the
derivative of rad/s. `warm_up(states (B, K, S), actions (B, K, A), features (B, K, F))` likewise.
The carry starts as zeros. `learn.integrator: rk4` evaluates the network four times in a step, at
intermediate states, and keeps the carry of the first evaluation.

A regression is a list of terms: its settings extend `RegressionModel` of `_regression.py` and
return the terms, which `networks/regression.py` fits in closed form; see `arx.py`.
"""

from kinemill.task.plugins import MODELS

__all__ = ["MODELS"]
