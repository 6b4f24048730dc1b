"""Parity of step.c and step.onnx, and the latency of step.c."""

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import Blocked
from kinemill.export.c99.compiler import compile_shared
from kinemill.export.c99.source import Source, generate, sizes_of
from kinemill.export.summary import C99Facts, LatencyPercentiles
from kinemill.runtime import Simulator, load, wrapped
from kinemill.runtime.integrity import ROLLOUT

STEPS, SAME = 200, 1e-5  # relative to the largest number of a tensor, as verification has it
BLOCKS, CALLS = 5, 1000

Array = NDArray[np.float32]


class Compiled:
    """A compiled step.c.

    Args:
        folder: folder with step.c and step.h.
        source: the generated source.
        flags: additional compiler flags.
    """

    def __init__(self, folder: Path, source: Source, flags: tuple[str, ...] = ()) -> None:
        library = compile_shared([folder / "step.c"], flags)
        self.at = getattr(library, f"{source.name}_step")  # of four addresses
        self.at.argtypes = [ctypes.c_void_p] * 4
        self.at.restype = None
        self.outputs = getattr(library, f"{source.name}_outputs", None)
        if self.outputs is not None:
            self.outputs.argtypes, self.outputs.restype = [ctypes.c_void_p] * 4, None

    def __call__(self, state: Array, action: Array, carry: Array, after: Array) -> None:
        """Advance (S,), (A,), (C,); the carry is changed in place, `after` (S,) is filled."""
        self.at(*(part.ctypes.data for part in (state, action, carry, after)))


def write_c99(folder: Path, step: bytes) -> C99Facts:
    """Write step.c and step.h into a folder, and compare them with its ONNX files.

    Raises:
        BadInput: The step cannot be translated, or no compiler is installed.
        Blocked: The C code differs from step.onnx.
    """
    source = generate(step)
    (folder / "step.c").write_text(source.code)
    (folder / "step.h").write_text(source.header)
    compiled, simulator = Compiled(folder, source), load(folder / ROLLOUT, non_finite="pass")
    difference = compare(compiled, simulator)
    return C99Facts(
        weights=source.weights,
        scratch=source.scratch,
        multiplications=source.multiplications,
        difference=difference,
        latency_us=_timed(compiled, simulator),
    )


def compare(compiled: Compiled, simulator: Simulator) -> float:
    """Run both for many steps, each with its own carry; return the largest difference.

    States are random at every step, so that a diverging model stays comparable.

    Raises:
        Blocked: They differ by more than rounding.
    """
    states, actions, carried = sizes_of(simulator.interface)
    random, carry = np.random.default_rng(0), np.zeros(max(carried, 1), np.float32)
    after, memory = np.empty(states, np.float32), simulator.initial_carry(1)
    angle = np.array([name in simulator.interface.angles for name in simulator.states])
    angle = np.concatenate([angle, np.zeros(carried, np.bool_)])
    worst = 0.0
    for _ in range(STEPS):
        state = random.normal(size=states).astype(np.float32)
        action = random.normal(size=max(actions, 1)).astype(np.float32)
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
                fix="remove export.c99, and report a bug in kinemill",
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
    state, action = inputs[0][None], inputs[1][None, : len(simulator.actions)]
    return outputs, simulator.step_outputs(state, action, *memory)[0]


def _timed(compiled: Compiled, simulator: Simulator) -> LatencyPercentiles:
    """Return percentiles of the best of a few blocks of calls, us; the worst call is of that one.

    The loops of a step are bounded, so what is above the median is the machine, not the step.
    """
    sizes = sizes_of(simulator.interface)
    parts = [np.zeros(max(size, 1), np.float32) for size in (*sizes, sizes[0])]
    pointers = [part.ctypes.data for part in parts]
    blocks = list[NDArray[np.float64]]()
    for _ in range(BLOCKS):
        times = np.empty(CALLS)
        for index in range(CALLS):
            began = time.perf_counter_ns()
            compiled.at(*pointers)
            times[index] = (time.perf_counter_ns() - began) / 1e3
        blocks.append(times)
    best = min(blocks, key=lambda times: float(np.percentile(times, 99)))
    p50, p99 = np.percentile(best, [50, 99])
    return LatencyPercentiles(float(p50), float(p99), float(best.max()))
