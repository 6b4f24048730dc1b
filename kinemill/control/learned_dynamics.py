"""A learned simulator with the interface that controllers need.

Trajectory sampling through an ensemble (Chua et al. 2018, section 5.1) rolls out a plan as
particles, each with a separate state:

    s_p[k+1] ~ N(μ_b(s_p[k], a[k]), Σ(s[k], a[k]))        b = b(p, k)

TS-infinity: b depends on p alone, a particle stays with one member. TS-1: members are drawn at
every step, here as a random permutation of the particles of a plan, so that each member moves the
same number of particles. Σ is the mean of the variances that the members predict at the mean state.

Symbols: B plans, E members and particles of a plan, T horizon, S states, A actions.
"""

import threading
from pathlib import Path

import numpy as np

from kinemill.control.physics import control_of
from kinemill.control.plan import Floats
from kinemill.errors import BadInput
from kinemill.runtime import Simulator, load_simulator, wrapped
from kinemill.runtime.input_checks import Array
from kinemill.runtime.interval_tracker import OnlineIntervals
from kinemill.runtime.loader import attach_native_engine
from kinemill.runtime.uncertainty import belief_of, deviation_of
from kinemill.task.control import Uncertainty
from kinemill.task.document import Task

_PLAIN = Uncertainty()

_JITTER = 1e-5  # of a variance: a step that moves few states has a singular covariance


class LearnedModel:
    """A `kinemill.runtime.Simulator` that rolls out many plans from one history.

    An ensemble predicts with every member, so that `control.risk` can weigh their disagreement.

    Args:
        simulator: loaded with `kinemill.runtime.load`.
        uncertainty: how an ensemble propagates plans, and which plans are rejected.

    Raises:
        BadInput: `uncertainty` needs an ensemble or a learned variance, and the model has none.
    """

    def __init__(self, simulator: Simulator, uncertainty: Uncertainty = _PLAIN) -> None:
        self.simulator = simulator
        self._uncertainty = uncertainty
        belief = simulator.interface.belief
        self._members = belief is not None and belief.members > 1
        self._is_sampled = uncertainty.propagation == "ts_1" or uncertainty.sample_noise
        self._most = np.array([uncertainty.max_std.get(name, np.inf) for name in simulator.states])
        if self._is_sampled or uncertainty.max_std:
            belief = belief_of(simulator.interface, "control.uncertainty: the model")
        conformal = belief.conformal if belief is not None and uncertainty.max_std else None
        is_online = conformal is not None and conformal.online
        self._intervals = OnlineIntervals(simulator) if is_online else None
        if uncertainty.sample_noise and belief is not None and not belief.covariance:
            problem = "the model has no learned variance"
            fix = "train with learn.loss: gaussian"
            raise BadInput("control.uncertainty.sample_noise", problem, fix=fix)

    @property
    def history(self) -> int:
        """Rows before the first prediction, H; at least two if intervals follow the errors."""
        return max(self.simulator.history, 1 if self._intervals is None else 2)

    def observe(self, states: Floats, past_actions: Floats) -> None:
        """Update intervals that follow the errors, with the newest rows in task units.

        States (H, S), past actions (H-1, A). Other models ignore the call.
        """
        if self._intervals is not None:
            self._intervals.observe(states, past_actions)

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Roll out actions (B, T, A) after states (H, S) and past actions (H-1, A), in task units.

        Returns:
            (B, T, S), of an ensemble (M, B, T, S). A rejected plan holds NaN.
        """
        plans = np.asarray(actions, dtype=np.float32)
        rows = self.simulator.history
        # Not `[-rows + 1 :]`, which would be the whole array for a history of 1.
        past = past_actions[len(past_actions) - rows + 1 :]
        data = _repeat(states[-rows:], len(plans)), _repeat(past, len(plans)), plans
        if self._is_sampled:
            # The same random numbers for all control steps: only the plans make costs differ.
            random = np.random.default_rng(0)
            paths, deviation = _sample_trajectories(self.simulator, self._uncertainty, data, random)
        elif self._uncertainty.max_std:
            paths, deviation = self.simulator.rollout_belief(*data)
        else:
            run = self.simulator.rollout_members if self._members else self.simulator.rollout
            paths = run(*data)
            deviation = None
        if deviation is not None:
            if self._intervals is not None:
                deviation = deviation * self._intervals.factor(deviation.shape[1])
            # `not <=`, so that a deviation of NaN rejects the plan as well.
            paths[~(deviation <= self._most).all(axis=(1, 2))] = np.nan
        return np.moveaxis(paths, 1, 0) if paths.ndim == 4 else paths


def learned_model(
    task: Task, where: str | Path, threads: int = 1, provider: str = "cpu", *, wait: bool = False
) -> LearnedModel:
    """Load a model for a task.

    Plans are rolled out in native code. Compiling it can take a minute, once on a machine; until
    then ONNX Runtime is used, with results that differ by rounding.

    Args:
        task: task with a `control` part; the model must have its channels.
        where: a folder, or an address such as `models:/TASK@champion`.
        threads: threads of ONNX Runtime.
        provider: execution provider, see `kinemill.runtime.load`; native code on a CPU.
        wait: whether to return when the code is compiled, for results that can be repeated.

    Raises:
        BadInput: The model does not exist, has other channels or another time step, or does not
            have what `control.uncertainty` needs; or the task has no `control` part.
    """
    # `non_finite="pass"`: a plan that diverges in the model is a bad plan, not an error.
    is_native = provider == "cpu"
    engine = "auto" if is_native and wait else "onnx"
    simulator = load_simulator(
        where, threads=threads, provider=provider, non_finite="pass", engine=engine
    )
    expected = (tuple(task.states), tuple(task.actions))
    if (names := (simulator.states, simulator.actions)) != expected:
        raise BadInput(where, f"is of the channels {names}", expected=f"{expected}")
    if abs(simulator.dt - task.dt) > 1e-9:
        raise BadInput(where, f"has a step of {simulator.dt:g} s", expected=f"{task.dt:g} s")
    if is_native and not wait:
        # A daemon: a program can end before the compiler does.
        threading.Thread(target=attach_native_engine, args=(simulator,), daemon=True).start()
    return LearnedModel(simulator, control_of(task).uncertainty)


def _repeat(rows: Floats, count: int) -> Floats:
    rows = np.asarray(rows, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(rows, (count, *rows.shape)))


def _sample_trajectories(
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


def _permuted(carries: list[Array], random: np.random.Generator) -> list[Array]:
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
