"""Rollouts by machine code that was compiled for this computer, see `kinemill.export.compiled`."""

import ctypes

import numpy as np

from kinemill.runtime.checking import Array

FEW = 3  # rows below which one after the other is quicker than many lanes, some of them idle


class CompiledRollout:
    """A model's rollout in a shared library.

    Args:
        library: with `kinemill_rollout_1` and one of more lanes, loaded.
        lanes: of the other one.
        states: how many, S.
        engine: what it was compiled with, for people.
    """

    def __init__(self, library: ctypes.CDLL, lanes: int, states: int, engine: str) -> None:
        self.engine, self._states = engine, states
        self._single = library.kinemill_rollout_1
        self._many = getattr(library, f"kinemill_rollout_{lanes}")
        for function in (self._single, self._many):
            function.argtypes = [*[ctypes.c_void_p] * 4, ctypes.c_long, ctypes.c_long]
            function.restype = None

    def __call__(self, states: Array, past_actions: Array, actions: Array) -> Array:
        """Roll out contiguous float32: (B, H, S), (B, H-1, A), (B, T, A) -> (B, T, S).

        Sizes are the caller's to check. The interpreter is free for other threads meanwhile.
        """
        batch, horizon = actions.shape[:2]
        found = np.empty((batch, horizon, self._states), dtype=np.float32)
        run = self._many if batch >= FEW else self._single
        run(
            states.ctypes.data,
            past_actions.ctypes.data,
            actions.ctypes.data,
            found.ctypes.data,
            batch,
            horizon,
        )
        return found
