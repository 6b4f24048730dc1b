"""Parity cases of a policy: inputs of consecutive steps with the actions of the trained policy.

`python -m kinemill.runtime verify FOLDER` compares a copy of the policy with `cases.npz` on any
machine; it needs numpy and ONNX Runtime.

Symbols: N cases, T steps, A actions.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.export.rounding import FACTOR, UNIT, Rounding, rounded
from kinemill.runtime import PolicyInterface
from kinemill.runtime.observations import Inputs
from kinemill.runtime.policy import step_seed
from kinemill.runtime.policy_layout import MASK, OBSERVATION, SEED
from kinemill.runtime.policy_self_test import play
from kinemill.runtime.window_metrics import draw_within
from kinemill.train.policy import PolicyModule
from kinemill.train.policy_runner import as_policy

CASES = 8
STEPS = 25
PICTURED = (4, 5)  # cases and steps of a policy with images, which are large
TOLERANCE = 1e-5  # smallest tolerance, relative to the scale of an action
_BIT = 2.0 * UNIT["float32"]
_INSTRUCTION = "pick up the red cube and put it on the left green plate "

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Cases:
    """Consecutive steps from the start of an episode.

    Attributes:
        inputs: inputs by name, (N, T, ...).
        action: actions of the trained policy, (N, T, A).
        allowed: tolerance of each number, (N, T, A); 0 for discrete actions.
    """

    inputs: Arrays
    action: NDArray[np.float32]
    allowed: NDArray[np.float32]

    @property
    def steps(self) -> int:
        """Number of steps of each case, T."""
        return self.action.shape[1]

    def at(self, step: int) -> Inputs:
        """Return the inputs (N, ...) of one step of all cases."""
        return {name: np.ascontiguousarray(part[:, step]) for name, part in self.inputs.items()}

    def arrays(self) -> Arrays:
        """Return all arrays by name, (N, T, ...), as stored in `cases.npz`."""
        inputs = {f"input.{name}": part for name, part in self.inputs.items()}
        return inputs | {"action": self.action, "allowed": self.allowed}


def make_cases(
    module: PolicyModule,
    interface: PolicyInterface,
    inputs: Mapping[str, NDArray[np.generic]] | None = None,
) -> Cases:
    """Return inputs, actions (N, T, A) of the trained policy and the tolerance of a runtime.

    `inputs` by name are (N, T, ...); None draws them within the limits.
    """
    values = dict(inputs) if inputs is not None else random_inputs(interface)
    plain = copy.deepcopy(module).cpu().float().eval()
    action = play(as_policy(plain, finite=False), values)
    # One bit in each weight and input; the next run perturbs the result of each operation.
    perturbed = [play(as_policy(rounded(plain), finite=False), _perturb(values))]
    with Rounding(0):
        perturbed.append(play(as_policy(plain, finite=False), values))
    allowed = allowed_of(action, perturbed, interface)
    if (other := plain.with_other_ties()) is not None:
        decided = np.abs(play(as_policy(other, finite=False), values) - action)
        # Twice: more than two phases can tie. A decision stays in the carry.
        twice = 2.0 * np.maximum.accumulate(decided, axis=1)
        allowed = (allowed + twice).astype(np.float32)
    return Cases(values, action, allowed)


def _perturb(inputs: Arrays) -> Arrays:
    numbers = inputs.get(OBSERVATION)
    if numbers is None:
        return inputs
    sign = np.random.default_rng(0).choice([-1.0, 1.0], numbers.shape)
    return inputs | {OBSERVATION: (numbers * (1.0 + _BIT * sign)).astype(np.float32)}


def allowed_of(
    action: NDArray[np.float32],
    perturbed: Sequence[NDArray[np.float32]],
    interface: PolicyInterface,
) -> NDArray[np.float32]:
    """Return the tolerance of each number (N, T, A), from the effect of rounding.

    A discrete action has to be equal, unless one bit already changes it. Of others, some do not
    change by chance, for example near zero as a difference of large numbers, so the median over all
    cases and steps counts for each.

    Args:
        action: actions of the policy.
        perturbed: its actions under rounding: with one bit of error in each weight and input, and
            with perturbed results of each operation (`kinemill.export.rounding`).
        interface: interface of the policy.
    """
    scale = action_scale(action, interface)
    distance = np.max(
        [np.abs(action.astype(np.float64) - changed) for changed in perturbed], axis=0
    )
    floor = np.maximum(TOLERANCE * scale, np.spacing(np.abs(action)))
    usual = np.median(distance, axis=(0, 1))
    allowed = np.maximum(FACTOR * np.maximum(distance, usual), floor)
    choices = np.array(interface.choices)
    allowed = np.where(choices > 0, np.where(distance > 0.0, choices, 0.0), allowed)
    # Once a case differs, its carry differs at all later steps.
    return np.maximum.accumulate(allowed, axis=1).astype(np.float32)


def action_scale(action: NDArray[np.float32], interface: PolicyInterface) -> NDArray[np.float64]:
    """Return the scale (A,) of actions (N, T, A): half the range of limits, else the deviation."""
    flat = action.reshape(-1, action.shape[-1]).astype(np.float64)
    scale = np.maximum(flat.std(axis=0), 1e-3 * np.abs(flat).max(axis=0, initial=0.0))
    for index, name in enumerate(interface.layout.actions):
        if name in interface.limits:
            low, high = interface.limits[name]
            scale[index] = (high - low) / 2
    return np.where(scale > 0.0, scale, 1.0)


def random_inputs(
    interface: PolicyInterface, cases: int = 0, steps: int = 0, seed: int = 0
) -> Arrays:
    """Draw inputs (N, T, ...) within the limits, in their units.

    Numbers of the first case are the values closest to 0.
    """
    layout = interface.layout
    random = np.random.default_rng(seed)
    usual = PICTURED if layout.images else (CASES, STEPS)
    shape = (cases or usual[0], steps or usual[1])
    made: Arrays = {}
    for name, (size, kind) in interface.shapes().items():
        if name == OBSERVATION:
            values = draw_within(random, layout.limits, layout.observation, shape)
        elif name == MASK:
            values = _masks(random, shape, interface)
        elif name == SEED:
            values = step_seeds(range(shape[0]), shape[1])
        elif name in layout.texts:
            values = _texts(random, shape, size[0])
        else:
            values = random.integers(0, 256, (*shape, *size))
        made[name] = values.astype(kind)
    return made


def step_seeds(seeds: Iterable[int], steps: int) -> NDArray[np.int64]:
    """Return the input `seed` of episodes with these N seeds, (N, T, 1)."""
    return np.array([[step_seed(seed, k) for k in range(steps)] for seed in seeds], np.int64)[
        ..., None
    ]


def _masks(
    random: np.random.Generator, shape: tuple[int, int], interface: PolicyInterface
) -> NDArray[np.generic]:
    """Forbid each choice with probability 1/2, but leave one for each action."""
    parts = list[NDArray[np.int64]]()
    for count in interface.choices:
        part = random.integers(0, 2, (*shape, count))
        if count:
            allowed = random.integers(0, count, shape)
            np.put_along_axis(part, allowed[..., None], 1, axis=-1)
        parts.append(part)
    return np.concatenate(parts, axis=-1)


def _texts(random: np.random.Generator, shape: tuple[int, int], size: int) -> NDArray[np.uint8]:
    """Return random parts of an instruction, one for all steps of a case."""
    whole = (_INSTRUCTION * (size // len(_INSTRUCTION) + 2)).encode()
    starts = random.integers(0, len(_INSTRUCTION), shape[0])
    rows = [np.frombuffer(whole[start : start + size], np.uint8) for start in starts.tolist()]
    return np.repeat(np.stack(rows)[:, None], shape[1], axis=1)
