"""Trajectory sampling through an ensemble (Chua et al. 2018, section 5.1).

A plan is rolled out as particles, each with a separate state:

    s_p[k+1] ~ N(μ_b(s_p[k], a[k]), Σ(s[k], a[k]))        b = b(p, k)

TS-infinity: b depends on p alone, a particle stays with one member. TS-1: members are drawn at
every step, here as a random permutation of the particles of a plan, so that each member moves the
same number of particles. Σ is the mean of the variances that the members predict at the mean state.

Symbols: B plans, E members and particles of a plan, T horizon, S states, A actions.
"""

from typing import Any

import numpy as np

from kinemill.control.plan import Floats
from kinemill.runtime import Simulator, wrapped
from kinemill.runtime.uncertainty import belief_of, deviation_of
from kinemill.task.control import Uncertainty

_JITTER = 1e-5  # of a variance: a step that moves few states has a singular covariance


def sample_trajectories(
    simulator: Simulator,
    uncertainty: Uncertainty,
    data: tuple[Floats, Floats, Floats],
    random: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return particles (B, E, T, S) of plans, and standard deviations (B, T, S), task units.

    Args:
        simulator: an ensemble with its step.onnx.
        uncertainty: `propagation` and `sample_noise`.
        data: states (B, H, S), past actions (B, H-1, A), plans (B, T, A), float32, task units.
        random: draws members and noise.

    Raises:
        BadInput: The model is not an ensemble, or has no step.onnx.
    """
    histories, past, plans = data
    interface = simulator.interface
    belief = belief_of(interface, "control.uncertainty.propagation")
    names = [carry.name for carry in interface.carry]
    offsets = names.index(belief.offsets)
    covariance = names.index(belief.covariance) if belief.covariance else None
    angle = interface.is_angle
    carry = list(simulator.warm_up(histories, past))
    state = simulator.estimate(histories)[:, -1]
    particles = list[Floats]()
    apart = list[Floats]()
    covariances = list[Floats]()
    for action in plans.swapaxes(0, 1):
        state, *carry = simulator.step(state, action, *carry)
        if uncertainty.sample_noise and covariance is not None:
            noise = _noise(carry[covariance], belief.members, random)
            carry[offsets] = carry[offsets] + noise
            # The noise is in the particles now; the model must not add its variance again.
            carry[covariance] = np.zeros_like(carry[covariance])
        elif covariance is not None:
            covariances.append(carry[covariance])
        apart.append(carry[offsets])
        # The step returns the mean state; the offsets of the members are in the carry.
        particles.append(wrapped(state[:, None] + carry[offsets], angle))
        if uncertainty.propagation == "ts_1":
            # The carries up to the offsets are those of the members; all move together.
            carry[: offsets + 1] = _permuted(carry[: offsets + 1], random)
    deviation = deviation_of(
        belief, np.stack(apart, axis=1), np.stack(covariances, axis=1) if covariances else None
    )
    return np.stack(particles, axis=2).astype(np.float32), deviation


def _permuted(carries: list[Any], random: np.random.Generator) -> list[Any]:
    """Permute the particles of each plan among members: all carries (B, E, ...) in the same way."""
    shape = carries[-1].shape[:2]
    # Sorting random numbers gives a uniform permutation of each row.
    order = np.argsort(random.random(shape), axis=1)
    rows = np.arange(shape[0])[:, None]
    return [carry[rows, order] for carry in carries]


def _noise(covariance: Floats, members: int, random: np.random.Generator) -> Floats:
    """Draw noise (B, E, S) of covariances (B, S, S); NaN for a covariance that is not finite."""
    # Factor correlations instead of covariances: states of different units differ by decades.
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    scale = np.sqrt(np.where(variance > 0.0, variance, 1.0))
    correlation = covariance / (scale[:, :, None] * scale[:, None, :])
    is_finite: Floats = np.logical_and.reduce(np.isfinite(correlation), axis=(1, 2))
    identity = np.eye(correlation.shape[1])
    factor = np.linalg.cholesky(
        np.where(is_finite[:, None, None], correlation, identity) + _JITTER * identity
    )
    drawn = random.standard_normal((len(covariance), members, covariance.shape[1]))
    noise = np.einsum("bij,bej->bei", factor, drawn) * scale[:, None, :]
    noise = np.where(variance[:, None, :] > 0.0, noise, 0.0).astype(np.float32)
    noise[~is_finite] = np.nan
    return noise
