"""Architectures, one file each: the settings of a network and how to build it.

A member of the family is a `Plugin` with `build(inputs, outputs) -> network`; see `mlp.py`. What
goes in and comes out, scaling, angles and integration are not its business: `train.step` does that
once for all.

A model of physical values, such as equations of motion, defines `build_for(layout, scale)` instead
and gives its network `physical = True`. It then sees, in task units and in the order of `layout`,
`(state (B, S), action (B, A), features (B, F), carry...)`, of which it may use the features for a
part that is learned, and returns outputs in their own units: (B, O), rad/s² where an output is the
derivative of rad/s. `warm_up(states (B, K, S), actions (B, K, A), features (B, K, F))` likewise.
The carry starts as zeros. With `learn.integrator: rk4` it is asked four times in a step, at states
that nobody measured, and only the carry of the first is kept.
"""

from kinemill.task.plugins import MODELS

__all__ = ["MODELS"]
