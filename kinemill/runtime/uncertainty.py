"""How sure an ensemble is: its members' own trajectories, and the standard deviation of it all.

Symbols: B batch, E members, T horizon, S states.
"""

import numpy as np

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array
from kinemill.runtime.interface import Belief, Interface, wrapped


def belief_of(interface: Interface, where: object) -> Belief:
    """Return how a model says how sure it is.

    Raises:
        BadInput: it does not; `where` it came from is said.
    """
    if interface.belief is None:
        raise BadInput(
            where,
            "is one model, which does not say how sure it is",
            expected="an ensemble",
            fix="train one with learn.ensemble, or with learn.loss: gaussian",
        )
    return interface.belief


def members_of(interface: Interface, predicted: Array, offsets: Array) -> Array:
    """Return what each member predicts, (B, E, T, S), from (B, T, S) and offsets (B, T, E, S)."""
    own = predicted[:, None] + offsets.transpose(0, 2, 1, 3)
    angle = np.array([name in interface.angles for name in interface.states])
    return wrapped(own, angle).astype(np.float32)


def deviation_of(belief: Belief, offsets: Array, covariance: Array | None) -> Array:
    """Return the standard deviation of predictions, (B, T, S).

    Its square is the variance between the members, plus the mean of the variances that they learned
    (Lakshminarayanan et al. 2017, section 2.4), a measurement's included.

    Args:
        belief: of the model.
        offsets: (B, T, E, S).
        covariance: (B, T, S, S), the mean of the members'; None where they learned none.
    """
    variance = np.square(offsets.astype(np.float64)).mean(axis=2)
    if covariance is not None:
        own = covariance.diagonal(axis1=2, axis2=3).astype(np.float64)
        variance = variance + own + np.array(belief.measured)
    return np.sqrt(variance).astype(np.float32)
