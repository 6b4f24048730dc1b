"""Physical behavior of a model: energy, mirror symmetry, stability of long rollouts, noise.

Energy and symmetry are checks that a task declares.

Symbols: N windows, H history, T horizon, S states, A actions.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_range
from kinemill.runtime import QUIETLY, Floats, Simulator, wrapped
from kinemill.task.expressions import Expression
from kinemill.task.verify import Energy, Symmetry, Verify
from kinemill.verify.check_results import PhysicsResult
from kinemill.verify.checklist import Gate
from kinemill.verify.results import ChannelSensitivity, Sensitivity, Stability
from kinemill.verify.test_inputs import Array, Probe, long_probe

_STEPS = 1000
_ROLLOUTS = 32
_RUN_AWAY = 10.0  # distance from the range of a channel, in ranges, at which a rollout has diverged
_VERBS = {"energy": "grows", "symmetry": "differs"}
_NOISE = 0.01  # in training standard deviations of each state


def physical_checks(
    simulator: Simulator, probe: Probe, std: Floats, settings: Verify
) -> dict[str, PhysicsResult]:
    """Run the checks that a task declares, on measured windows (N, H, S); return them by name.

    Args:
        simulator: loaded with `non_finite="pass"`.
        probe: measured windows.
        std: standard deviation of each state in training, (S,), in units.
        settings: settings with `energy` and `symmetry`.
    """
    checks = dict[str, PhysicsResult]()
    if settings.energy:
        checks["energy"] = energy_growth(simulator, probe, settings.energy)
    if settings.symmetry:
        checks["symmetry"] = asymmetry(simulator, probe, std, settings.symmetry)
    return checks


def physics_gates(checks: Mapping[str, PhysicsResult]) -> list[Gate]:
    """Return the lines of the verdict."""
    return [
        Gate(
            name,
            check.passed,
            f"{_VERBS[name]} by {check.value:.3g} standard deviations",
            f"at most {check.within:.3g} standard deviations",
        )
        for name, check in checks.items()
    ]


@QUIETLY
def energy_growth(simulator: Simulator, probe: Probe, energy: Energy) -> PhysicsResult:
    """Return the mean growth of energy without input, in standard deviations over the windows.

    A loss of energy, such as by friction, counts as no growth.
    """
    idle = simulator.rollout(probe.states, probe.past_actions, np.zeros_like(probe.actions))
    initial = _energy(simulator, probe.states[:, -1], energy)
    increase = np.maximum(_energy(simulator, idle[:, -1], energy) - initial, 0.0)
    std = float(initial.std())
    value = float(increase.mean() / std) if std > 0.0 else float("nan")
    return PhysicsResult(value, energy.within)


def _energy(simulator: Simulator, states: Array, energy: Energy) -> Floats:
    values = {
        name: np.asarray(states[:, index], dtype=np.float64)
        for index, name in enumerate(simulator.states)
    }
    # A formula without states gives a single number.
    return np.broadcast_to(Expression(energy.formula).value(values), len(states)).astype(np.float64)


@QUIETLY
def asymmetry(simulator: Simulator, probe: Probe, std: Floats, symmetry: Symmetry) -> PhysicsResult:
    """Return the RMS difference of a mirrored rollout and the rollout of mirrored inputs.

    It is in standard deviations `std`, (S,), over all windows (N, H, S) and steps.
    """
    states = mirror(probe.states, simulator.states, symmetry)
    past, actions = (
        mirror(part, simulator.actions, symmetry) for part in (probe.past_actions, probe.actions)
    )
    # M f(x); a model with the symmetry of the mirror M has f(M x) = M f(x).
    image = mirror(simulator.rollout(*probe.windows), simulator.states, symmetry)
    angle = simulator.interface.is_angle
    off = wrapped(simulator.rollout(states, past, actions).astype(np.float64) - image, angle)
    value = float(np.sqrt(((off / std) ** 2).mean()))
    return PhysicsResult(value, symmetry.within)


def mirror(values: Array, names: tuple[str, ...], symmetry: Symmetry) -> NDArray[np.float32]:
    """Mirror values of the C channels `names`, in units: (..., C) -> (..., C)."""
    partner = {name: mirrored for pair in symmetry.swap for name, mirrored in (pair, pair[::-1])}
    order = [names.index(partner.get(name, name)) for name in names]
    sign = np.array([-1.0 if name in symmetry.flip else 1.0 for name in names])
    return (values[..., order] * sign).astype(np.float32)


@QUIETLY
def stability(simulator: Simulator, dataset: PackedDataset, steps: int = _STEPS) -> Stability:
    """Roll out windows of the test split for `steps` steps with their measured actions.

    At the end of its episode, the actions of a window repeat.
    """
    probe = long_probe(dataset, simulator.interface, _ROLLOUTS, steps)
    rolled = simulator.rollout(*probe.windows).astype(np.float64)
    low, high = _reach(simulator, dataset)
    # A channel that never moves in training has no range; one unit replaces it.
    span = np.where(high > low, high - low, 1.0)
    within = (rolled >= low - _RUN_AWAY * span) & (rolled <= high + _RUN_AWAY * span)
    diverged = within.sum(axis=2) < rolled.shape[2]  # (N, T); a comparison with NaN is false
    steps_diverged = np.flatnonzero(diverged.sum(axis=0))
    outside = {
        name: float(_leaves(rolled[:, :, index], simulator.limits[name]).mean())
        for index, name in enumerate(simulator.states)
        if name in simulator.limits
    }
    first = int(steps_diverged[0]) + 1 if len(steps_diverged) else None
    return Stability(steps, len(rolled), float((diverged.sum(axis=1) > 0).mean()), outside, first)


def _leaves(values: Floats, limits: tuple[float, float]) -> NDArray[np.bool_]:
    """Return whether each rollout leaves the limits at any step: (N, T) -> (N,)."""
    inside = (values >= limits[0]) & (values <= limits[1])
    return inside.sum(axis=1) < values.shape[1]


def _reach(simulator: Simulator, dataset: PackedDataset) -> tuple[Floats, Floats]:
    """Return the ends of the range of each state, (S,), (S,): its limits, or values in training."""
    low, high = (ends[: len(simulator.states)] for ends in training_range(dataset))
    for index, name in enumerate(simulator.states):
        low[index], high[index] = simulator.limits.get(name, (low[index], high[index]))
    return low, high


@QUIETLY
def sensitivity(simulator: Simulator, probe: Probe, std: Floats) -> Sensitivity:
    """Return the effect of noise in the known rows on the last prediction, by state.

    Noise of NOISE standard deviations `std`, (S,), in units, from a fixed seed, is added to every
    known row (N, H, S). `gain` is the RMS change divided by the noise.
    """
    rng = np.random.default_rng(0)
    noisy = probe.states + _NOISE * std * rng.standard_normal(probe.states.shape)
    plain = simulator.rollout(*probe.windows)[:, -1].astype(np.float64)
    moved = simulator.rollout(noisy.astype(np.float32), probe.past_actions, probe.actions)[:, -1]
    change = np.sqrt((wrapped(moved - plain, simulator.interface.is_angle) ** 2).mean(axis=0))
    return Sensitivity(
        noise=_NOISE,
        steps=probe.actions.shape[1],
        channels={
            name: ChannelSensitivity(
                unit=simulator.units[name],
                change=float(change[index]),
                gain=float(change[index] / (_NOISE * std[index])),
            )
            for index, name in enumerate(simulator.states)
        },
    )
