"""Uncertainty of an ensemble: trajectories of the members, and standard deviations.

Symbols: B batch, E members, T horizon, S states.
"""

import numpy as np

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array
from kinemill.runtime.interface import Belief, Conformal, Interface, wrapped
from kinemill.runtime.window_metrics import Floats


def belief_of(interface: Interface, where: object) -> Belief:
    """Return the uncertainty carries of a model.

    Raises:
        BadInput: The model, loaded from `where`, has none.
    """
    if interface.belief is None:
        raise BadInput(
            where,
            "is a single model without uncertainty",
            expected="an ensemble",
            fix="train one with learn.ensemble, or with learn.loss: gaussian",
        )
    return interface.belief


def members_of(interface: Interface, predicted: Array, offsets: Array) -> Array:
    """Return predictions of the members, (B, E, T, S), from (B, T, S) and offsets (B, T, E, S).

    All are in task units; angles are wrapped to [-π, π] rad.
    """
    members = predicted[:, None] + offsets.transpose(0, 2, 1, 3)
    angle = interface.is_angle
    return wrapped(members, angle).astype(np.float32)


def deviation_of(belief: Belief, offsets: Array, covariance: Array | None) -> Array:
    """Return the standard deviation of predictions, (B, T, S), in units of the states.

    Its square is the variance between the members plus the mean of their predicted variances, with
    measurement noise (Lakshminarayanan et al. 2017, section 2.4); corrected so that 1.645 of them
    cover 90 % of the truth on validation episodes, if the model was exported with that correction.

    Args:
        belief: uncertainty carries of the model.
        offsets: member minus predicted state, (B, T, E, S), in units of the states.
        covariance: (B, T, S, S), mean of the members; None if they predict none.
    """
    variance = np.square(offsets.astype(np.float64)).mean(axis=2)
    if covariance is not None:
        diagonal = covariance.diagonal(axis1=2, axis2=3).astype(np.float64)
        variance = variance + diagonal + np.array(belief.measured)
    if belief.conformal is not None:
        variance = corrected(belief.conformal, variance)
    return np.sqrt(variance).astype(np.float32)


def corrected(conformal: Conformal, variance: Floats) -> Floats:
    """Return variances (B, T, S) in squared units, each with the correction of its step.

    Index 0 of T is one step ahead; steps after the last row of the correction use that row.
    """
    step = np.minimum(np.arange(variance.shape[1]), len(conformal.scale) - 1)
    scale = np.array(conformal.scale)[step]
    floor = np.array(conformal.floor)[step]
    return np.square(scale) * (variance + np.square(floor))
