"""How a model behaves whatever it has learned: same in, same out; turns end at π; nonsense refused.

Symbols: N rows, H history, T horizon, S states, A actions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime import Simulator, wrapped
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.test_inputs import Probe

TURN = np.float32(np.pi) * (1 + 1e-6)  # rad, of a rounded half turn
RUNAWAY = 1e3  # times the limits of a state: farther a rollout has run away
SAME = 1e-4  # of a channel's reach, by which steps and rollouts may come apart


def manners(simulator: Simulator, refusing: Simulator, probes: Sequence[Probe]) -> list[Gate]:
    """Try a model on probes, most of it on the first.

    Args:
        simulator: loaded with `non_finite="pass"`.
        refusing: the same, loaded so that it refuses all it can.
        probes: of at least one row each.
    """
    return [
        Gate("repeatable", *_repeated(simulator, probes[0]), "the same bits for the same input"),
        gate("angles end at π", _turned(simulator, probes), "within -π to π rad"),
        gate(
            "nonsense is refused",
            [one.text for one in refusals(refusing, probes[0]) if not one.refused],
            "a clear error for NaN, infinity, text, other shapes, and what is beyond limits",
        ),
    ]


def _repeated(simulator: Simulator, probe: Probe) -> tuple[bool, str]:
    one, other = (simulator.rollout(*probe.inputs) for _ in range(2))
    same = bool(np.array_equal(one, other, equal_nan=True))
    return same, "the same bits" if same else "other numbers the second time"


def _turned(simulator: Simulator, probes: Sequence[Probe]) -> list[str]:
    names = simulator.states
    within = [probe for probe in probes if not probe.beyond]
    found = [simulator.rollout(*probe.inputs) for probe in within]
    reached = np.max([_reach(bounded(states, simulator)) for states in found], axis=0)
    return [
        f"{name} reaches {reached[index]:.4g} rad"
        for index, name in enumerate(names)
        if name in simulator.interface.angles and not bool(reached[index] <= TURN)
    ]


def bounded(states: NDArray[np.float32], simulator: Simulator) -> NDArray[np.float32]:
    """Return rollouts (N, T, S) with NaN from where they have run away.

    From inputs at their limits a sound model of physics may grow without bound. float32 has seven
    digits, so of an angle that turns by 1e19 rad in a step no remainder within π is left. A row
    counts until another state is `RUNAWAY` times beyond its limits.
    """
    interface = simulator.interface
    names = list(simulator.states)
    known = [n for n in names if n in interface.limits and n not in interface.angles]
    most = np.array([max(map(abs, interface.limits[name])) for name in known])
    size = np.abs(states[:, :, [names.index(name) for name in known]])
    gone = np.logical_or.accumulate((size > RUNAWAY * most).any(axis=2), axis=1)
    return np.where(gone[:, :, None], np.float32(np.nan), states)


def _reach(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest size of each state, (N, T, S) -> (S,); NaN is another line's business."""
    return np.nan_to_num(np.abs(states), nan=0.0, posinf=np.inf).max(axis=(0, 1))


@dataclass(frozen=True)
class Refusal:
    """What the runtime did with an input that makes no sense."""

    tried: str
    refused: bool
    text: str


def refusals(simulator: Simulator, probe: Probe) -> list[Refusal]:
    """Hand in what makes no sense, one thing at a time."""
    states, past, actions = (part.copy() for part in probe.first(2).inputs)
    nan, infinite = states.copy(), states.copy()
    nan[0, -1, 0], infinite[1, 0, -1] = np.nan, np.inf
    wide = np.concatenate([states, states[:, :, :1]], axis=2)
    tried: dict[str, Callable[[], Any]] = {
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
    wild = _beyond(simulator, states)
    if wild is not None:
        tried["a state beyond its limits"] = lambda: simulator.rollout(wild, past, actions)
    return [refused(name, call) for name, call in tried.items()]


def _beyond(simulator: Simulator, states: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return states of which one lies above its upper limit; None if none has limits."""
    for index, name in enumerate(simulator.states):
        low, high = simulator.limits.get(name, (0.0, np.inf))
        if np.isfinite(high):
            wild = states.copy()
            wild[0, -1, index] = high + max(high - low, 1.0)
            return wild
    return None


def refused(name: str, call: Callable[[], Any]) -> Refusal:
    """Make a call that makes no sense, and say whether it was refused with a clear error."""
    try:
        call()
    except BadInput as error:
        return Refusal(name, True, str(error))
    except Exception as error:  # noqa: BLE001 - whatever else is raised is no clear error
        return Refusal(name, False, f"{name} raised {type(error).__name__}")
    return Refusal(name, False, f"{name} was taken")


def same_by_steps(simulator: Simulator, probe: Probe) -> Gate:
    """Ask whether rollout.onnx does what step.onnx does when it is fed with its own output."""
    few = probe.first(7)
    carry = simulator.warm_up(few.states, few.past_actions)
    state, reached = few.states[:, -1], list[NDArray[np.float32]]()
    for index in range(few.actions.shape[1]):
        state, *rest = simulator.step(state, few.actions[:, index], *carry)
        carry = tuple(rest)
        reached.append(state)
    stepped, rolled = np.stack(reached, axis=1), simulator.rollout(*few.inputs)
    angle = np.array([name in simulator.interface.angles for name in simulator.states])
    off = np.abs(wrapped(rolled.astype(np.float64) - stepped, angle))
    reach = np.maximum(np.abs(stepped.astype(np.float64)).max(axis=(0, 1)), 1.0)
    passed = bool((off <= SAME * reach).all())
    found = f"{float((off / reach).max()):.1e} of a channel's reach apart"
    return Gate("rollout equals steps", passed, found, f"at most {SAME:g}")
