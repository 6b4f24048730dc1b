"""Parity of the C code and the ONNX file, and latency of the C code.

Symbols: S states, A actions, C elements of the carry, N cases, T steps.
"""

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import Blocked
from kinemill.export.c99.compiler import compile_shared
from kinemill.export.c99.policy_source import PolicyProgram, generate_policy, read_policy
from kinemill.export.c99.source import Source, generate, sizes_of
from kinemill.export.summary import C99Facts, LatencyPercentiles
from kinemill.runtime import Simulator, load, policy_self_test, wrapped
from kinemill.runtime.integrity import ROLLOUT
from kinemill.runtime.self_test import CASES, Arrays, read_cases
from kinemill.runtime.timing import CALLS, timed

STEPS = 200
NOISE = 0.1  # standard deviations of the parity cases
SAME = 1e-5  # steps; tolerance relative to the largest number, as in verification

Array = NDArray[np.float32]


class Compiled:
    """A compiled step.c."""

    def __init__(self, folder: Path, source: Source) -> None:
        library, outputs = compile_shared([folder / "step.c"]), f"{source.name}_outputs"
        self.at = _function(library, f"{source.name}_step", 4)
        self.outputs = _function(library, outputs, 4) if hasattr(library, outputs) else None

    def __call__(self, state: Array, action: Array, carry: Array, after: Array) -> None:
        """Advance (S,), (A,), (C,); the carry is changed in place, `after` (S,) is filled."""
        self.at(*(part.ctypes.data for part in (state, action, carry, after)))


def _function(library: ctypes.CDLL, name: str, addresses: int) -> Callable[..., None]:
    """Return the function of a library that takes this number of addresses."""
    function = getattr(library, name)
    function.argtypes = [ctypes.c_void_p] * addresses
    function.restype = None
    return function


def write_c99(folder: Path, step: bytes) -> C99Facts:
    """Write step.c and step.h into a folder, and compare them with its ONNX files.

    Raises:
        BadInput: The step cannot be translated, or no compiler is installed.
        Blocked: The C code differs from step.onnx.
        CorruptArtifact: The parity cases of the folder are missing or invalid.
    """
    source = generate(step)
    (folder / "step.c").write_text(source.code)
    (folder / "step.h").write_text(source.header)
    compiled = Compiled(folder, source)
    simulator = load(folder / ROLLOUT, non_finite="pass")
    difference = compare(compiled, simulator, read_cases(folder))
    sizes = sizes_of(simulator.interface)
    return source.facts(difference, _timed(compiled.at, [*sizes, sizes[0]]))


def write_policy_c99(folder: Path, policy: bytes) -> C99Facts:
    """Write policy.c and policy.h into a folder, and compare them with its parity cases.

    Raises:
        BadInput: The policy cannot be translated, or no compiler is installed.
        Blocked: The C code differs from the trained policy.
    """
    source = generate_policy(policy)
    program = read_policy(policy)
    (folder / "policy.c").write_text(source.code)
    (folder / "policy.h").write_text(source.header)
    sizes = [*program.sizes.values(), program.carried, len(program.interface.layout.actions)]
    act = _function(compile_shared([folder / "policy.c"]), f"{source.name}_act", len(sizes))
    return source.facts(compare_policy(act, program, folder), _timed(act, sizes))


def compare_policy(act: Callable[..., None], program: PolicyProgram, folder: Path) -> float:
    """Run the parity cases (N, T, ...) of a bundle in C; return the largest difference.

    Raises:
        Blocked: An action differs by more than rounding.
    """
    cases = policy_self_test.read_cases(folder / CASES)
    inputs = [cases[f"input.{name}"].astype(np.float32) for name in program.sizes]
    expected = cases["action"]
    allowed = cases["allowed"]
    result = np.empty(expected.shape, np.float32)
    for case, rows in enumerate(zip(*inputs, strict=True)):
        carry = np.zeros(max(program.carried, 1), np.float32)
        for step in range(expected.shape[1]):
            parts = [np.ascontiguousarray(row[step]) for row in rows]
            act(*(part.ctypes.data for part in (*parts, carry, result[case, step])))
    off = np.abs(result - expected)
    if not bool((off <= allowed).all()):
        raise Blocked(
            f"{program.interface.task}: policy.c",
            f"differs from the trained policy by up to {np.max(off):.3g}",
            expected="equal values up to rounding",
            fix="remove export.c99: C code has float32 only, and this policy may need float64 "
            "inside, as gaits from clips alone do; otherwise report a bug in kinemill",
        )
    return float(off.max(initial=0.0))


def compare(compiled: Compiled, simulator: Simulator, cases: Arrays) -> float:
    """Run both for 200 steps, each with a separate carry; return the largest difference.

    States and actions are those of the parity cases with noise: a diverging model stays comparable,
    and rounding has the size that it has on the robot.

    Raises:
        Blocked: They differ by more than rounding.
    """
    states, actions, carried = sizes_of(simulator.interface)
    random = np.random.default_rng(0)
    acted = np.concatenate([cases["past_actions"], cases["actions"][:, :1]], axis=1)  # (N, H, A)
    rows = np.concatenate([cases["states"], acted], axis=2).reshape(-1, states + actions)
    noise = NOISE * rows.std(axis=0)
    carry = np.zeros(max(carried, 1), np.float32)
    after = np.empty(states, np.float32)
    memory = simulator.initial_carry(1)
    angle = simulator.interface.is_angle
    # The carry has no angles: a difference of 2 π there is a difference.
    angle = np.concatenate([angle, np.zeros(carried, np.bool_)])
    worst = 0.0
    for step in range(STEPS):
        row = rows[step % len(rows)] + noise * random.normal(size=len(noise))
        state, action = np.split(np.append(row, 0.0).astype(np.float32), [states])  # never empty
        # Before the step, which changes the carry in place.
        outputs, expected_outputs = _outputs(compiled, simulator, (state, action, carry), memory)
        compiled(state, action, carry, after)
        reference, *memory = simulator.step(state[None], action[None, :actions], *memory)
        expected = np.concatenate([reference[0], *(part.reshape(-1) for part in memory)])
        off = np.abs(wrapped(np.concatenate([after, carry[:carried]]) - expected, angle))
        off = np.concatenate([off, np.abs(outputs - expected_outputs)])
        expected = np.concatenate([expected, expected_outputs])
        if not bool((off <= SAME * np.maximum(1.0, np.abs(expected).max())).all()):
            raise Blocked(
                f"{simulator.interface.task}: step.c",
                f"differs from step.onnx by up to {np.max(off):.3g}",
                expected="equal values up to rounding",
                fix="export without C code (--c99, export.c99), and report a bug in kinemill",
            )
        worst = max(worst, float(off.max(initial=0.0)))
    return worst


def _outputs(
    compiled: Compiled,
    simulator: Simulator,
    inputs: tuple[Array, Array, Array],
    memory: Sequence[Array],
) -> tuple[Array, Array]:
    """Return the outputs (Y,) of step.c and of step.onnx at one row, before the step."""
    outputs = np.zeros(len(simulator.outputs), np.float32)
    if compiled.outputs is None:
        return outputs, outputs
    compiled.outputs(*(part.ctypes.data for part in (*inputs, outputs)))
    state = inputs[0][None]
    action = inputs[1][None, : len(simulator.actions)]
    return outputs, simulator.step_outputs(state, action, *memory)[0]


def _timed(function: Callable[..., None], sizes: Sequence[int]) -> LatencyPercentiles:
    """Return percentiles of the time of a call, us.

    All loops are bounded, so differences between calls are those of the machine, not of the code.
    `function` is called with addresses of zeros; `sizes` are the elements of each argument.
    """
    parts = [np.zeros(max(size, 1), np.float32) for size in sizes]  # keeps the addresses valid
    times = timed(partial(function, *(part.ctypes.data for part in parts)), CALLS)
    return LatencyPercentiles(*(1e3 * times[name] for name in ("p50", "p99", "worst")))
