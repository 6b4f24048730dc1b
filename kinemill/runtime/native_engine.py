"""Native engine: rollouts in compiled code, see `kinemill.export.c99.rollout`."""

import ctypes
from collections.abc import Callable

import numpy as np

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array
from kinemill.runtime.interface import Interface, wrapped

SAME = 1e-4  # tolerance of three steps, relative to the values
MIN_LANE_ROWS = 3  # with fewer rows most lanes idle, so the code for single rows is faster


class CompiledRollout:
    """Rollout of a model in a shared library.

    Args:
        library: a library with `kinemill_rollout_1` and `kinemill_rollout_<lanes>`.
        lanes: rows that the latter computes in parallel.
        states: number of states, S.
        engine: name of the compiler, for messages.
    """

    def __init__(self, library: ctypes.CDLL, lanes: int, states: int, engine: str) -> None:
        self.engine = engine
        self._states = states
        self._single = library.kinemill_rollout_1
        self._many = getattr(library, f"kinemill_rollout_{lanes}")
        for function in (self._single, self._many):
            function.argtypes = [*[ctypes.c_void_p] * 4, ctypes.c_long, ctypes.c_long]
            function.restype = None

    def __call__(self, states: Array, past_actions: Array, actions: Array) -> Array:
        """Roll out contiguous float32: (B, H, S), (B, H-1, A), (B, T, A) -> (B, T, S), task units.

        The caller checks the sizes. The call releases the GIL.
        """
        batch, horizon = actions.shape[:2]
        result = np.empty((batch, horizon, self._states), dtype=np.float32)
        run = self._many if batch >= MIN_LANE_ROWS else self._single
        run(
            states.ctypes.data,
            past_actions.ctypes.data,
            actions.ctypes.data,
            result.ctypes.data,
            batch,
            horizon,
        )
        return result


def check_same(compiled: CompiledRollout, run: Callable[..., Array], interface: Interface) -> None:
    """Compare compiled code with its ONNX file over 3 steps, for batches of 1 and of 17 rows.

    Args:
        compiled: compiled rollout.
        run: rollout of the ONNX file, (B, H, S), (B, H-1, A), (B, T, A) -> (B, T, S).
        interface: names and angles of the model.

    Raises:
        BadInput: They differ by more than rounding, or one returns NaN.
    """
    random = np.random.default_rng(0)
    history = interface.history
    states = len(interface.states)
    actions = len(interface.actions)
    angle = interface.is_angle
    for batch in (1, 17):  # the code for single rows, and lanes with a remainder
        shapes = [(batch, history, states), (batch, history - 1, actions), (batch, 3, actions)]
        inputs = [random.uniform(-1.0, 1.0, shape).astype(np.float32) for shape in shapes]
        expected = run(*inputs)
        off = np.abs(wrapped(compiled(*inputs) - expected, angle))
        if not bool((off <= SAME * (1.0 + np.abs(expected))).all()):
            problem = f"differs from the ONNX file by up to {np.max(off):.3g}"
            raise BadInput(compiled.engine, problem, expected="the same numbers")
