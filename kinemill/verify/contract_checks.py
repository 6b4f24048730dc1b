"""Contract of every exported model: repeatable, angles within ±π, invalid inputs rejected.

Symbols: N rows, H history, T horizon, S states, A actions.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime import Simulator, wrapped
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.test_inputs import Array, Probe

TURN = np.float32(np.pi) * (1 + 1e-6)  # π rad with the rounding of float32
RUNAWAY = 1e3  # multiple of the largest input of a state beyond which a rollout has diverged
SAME = 1e-4  # allowed difference of steps and rollouts, as a share of a channel's largest value


def check_contract(simulator: Simulator, strict: Simulator, probes: Sequence[Probe]) -> list[Gate]:
    """Check properties that every correct model has, mostly on the first probe.

    Args:
        simulator: loaded with `non_finite="pass"`.
        strict: the same model, loaded so that it rejects every invalid input.
        probes: test inputs with at least one row each.
    """
    return [
        repeatable(
            lambda: simulator.rollout(*probes[0].windows), "identical outputs for the same input"
        ),
        gate("angles within ±π", _angles_beyond_turn(simulator, probes), "within -π to π rad"),
        rejects_invalid_inputs(
            invalid_calls(strict, probes[0]),
            "a clear error for NaN, infinity, text, other shapes, and values outside limits",
        ),
    ]


def repeatable(run: Callable[[], Array], expected: str) -> Gate:
    """Return the gate that two runs return identical arrays, bit for bit; the shape is any."""
    same = bool(np.array_equal(run(), run(), equal_nan=True))
    value = "identical" if same else "different numbers in the second run"
    return Gate("repeatable", same, value, expected)


def rejects_invalid_inputs(calls: Mapping[str, Callable[[], object]], expected: str) -> Gate:
    """Return the gate that every call with an invalid input, by name, raises a clear error."""
    faults = list[str]()
    for name, call in calls.items():
        try:
            call()
        except BadInput:
            continue
        except Exception as error:  # noqa: BLE001 - any other exception is not a clear error
            faults.append(f"{name} raised {type(error).__name__}")
        else:
            faults.append(f"{name} was accepted")
    return gate("invalid input is refused", faults, expected)


def _angles_beyond_turn(simulator: Simulator, probes: Sequence[Probe]) -> list[str]:
    probes = [probe for probe in probes if not probe.is_extreme]
    inputs = np.max([_largest(probe.windows[0]) for probe in probes], axis=0)
    rolled = [simulator.rollout(*probe.windows) for probe in probes]
    largest = np.max(
        [_largest(mask_diverged(rollout, simulator, inputs)) for rollout in rolled], axis=0
    )
    return [
        f"{name} reaches {largest[index]:.4g} rad"
        for index, name in enumerate(simulator.states)
        if name in simulator.interface.angles and not bool(largest[index] <= TURN)
    ]


def mask_diverged(
    states: NDArray[np.float32], simulator: Simulator, inputs: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return rollouts (N, T, S), in units, with NaN from the step at which they diverge.

    A correct model can grow without bound from inputs at their limits. float32 has seven digits: an
    angle that turns by 1e19 rad in a step has no meaningful remainder within π. A row counts until
    a state that is not an angle exceeds `RUNAWAY` times its largest input.

    Args:
        states: states of rollouts, (N, T, S).
        simulator: the model of these states.
        inputs: largest absolute value of each state in the inputs, (S,).
    """
    angles = simulator.interface.angles
    counted = [i for i, name in enumerate(simulator.states) if name not in angles and inputs[i] > 0]
    size = np.abs(states[:, :, counted])
    diverged = np.logical_or.accumulate((size > RUNAWAY * inputs[counted]).any(axis=2), axis=1)
    return np.where(diverged[:, :, None], np.float32(np.nan), states)


def _largest(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest absolute value of each state, (N, T, S) -> (S,).

    NaN is ignored, because another gate checks for it.
    """
    return np.nan_to_num(np.abs(states), nan=0.0, posinf=np.inf).max(axis=(0, 1))


def invalid_calls(simulator: Simulator, probe: Probe) -> dict[str, Callable[[], object]]:
    """Return calls of a model with one invalid input each, by name."""
    states, past, actions = (part.copy() for part in probe.first(2).windows)
    nan = states.copy()
    infinite = states.copy()
    nan[0, -1, 0], infinite[1, 0, -1] = np.nan, np.inf
    wide = np.concatenate([states, states[:, :, :1]], axis=2)
    calls: dict[str, Callable[[], object]] = {
        "NaN in a state": lambda: simulator.rollout(nan, past, actions),
        "infinity in a state": lambda: simulator.rollout(infinite, past, actions),
        "a channel too many": lambda: simulator.rollout(wide, past, actions),
        "no batch axis": lambda: simulator.rollout(states[0], past, actions),
        "an empty batch": lambda: simulator.rollout(states[:0], past[:0], actions[:0]),
        "no action to roll out": lambda: simulator.rollout(states, past, actions[:, :0]),
        "other batches": lambda: simulator.rollout(states[:1], past, actions),
        "text": lambda: simulator.rollout(states.astype(str), past, actions),
        "a carry too few or too many": lambda: simulator.step(
            states[:, -1], actions[:, 0], *simulator.initial_carry(2), np.zeros(1)
        ),
    }
    beyond = beyond_limits(simulator.states, simulator.limits, states)
    if beyond is not None:
        calls["a state beyond its limits"] = lambda: simulator.rollout(beyond, past, actions)
    return calls


def beyond_limits(
    names: Sequence[str], limits: Mapping[str, tuple[float, float]], values: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Return values (N, ..., C) with one above its upper limit; None if no channel has limits."""
    for index, name in enumerate(names):
        low, high = limits.get(name, (0.0, np.inf))
        if np.isfinite(high):
            beyond = values.copy()
            beyond[0].reshape(-1, len(names))[-1, index] = high + max(high - low, 1.0)
            return beyond
    return None


def same_by_steps(simulator: Simulator, probe: Probe) -> Gate:
    """Check that a rollout of rollout.onnx equals consecutive steps of step.onnx."""
    batch = probe.first(7)
    carry = simulator.warm_up(batch.states, batch.past_actions)
    state = simulator.estimate(batch.states)[:, -1]
    reached = list[NDArray[np.float32]]()
    for index in range(batch.actions.shape[1]):
        state, *rest = simulator.step(state, batch.actions[:, index], *carry)
        carry = tuple(rest)
        reached.append(state)
    stepped = np.stack(reached, axis=1)
    rolled = simulator.rollout(*batch.windows)
    off = np.abs(wrapped(rolled.astype(np.float64) - stepped, simulator.interface.is_angle))
    # At least 1, so that a channel near zero does not make rounding look large.
    reach = np.maximum(np.abs(stepped.astype(np.float64)).max(axis=(0, 1)), 1.0)
    passed = bool((off <= SAME * reach).all())
    value = f"they differ by {float((off / reach).max()):.1e} of a channel's largest value"
    return Gate("rollout equals steps", passed, value, f"at most {SAME:g}")
