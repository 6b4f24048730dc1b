"""Quantization step of a sensor: reported, but never a fault, since a model can tolerate it."""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task
from kinemill.validate.faults import Array, CheckSettings, Fault, Values

_SAME = 1e-7  # values closer than this fraction of the span are equal
_ROWS = 20_000
_STRETCHES = 20  # rows to evaluate, in stretches spread evenly over a longer log
# Ratio of distinct values to rows above which a channel is continuous; resampling mixes the steps
# of a sensor that is read at another rate.
_SHARE = 0.25


@CHECKS.register("quantization")
class Quantization(CheckSettings):
    """Quantization step of the states that have few distinct values."""

    phase: ClassVar[Literal["episode"]] = "episode"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return no faults: channel -> (n,) is only measured."""
        del values, task
        return []

    def measure(self, values: Values, task: Task) -> dict[str, float]:
        """Return `<state>:step`, in the channel's unit, of the quantized states."""
        step_sizes = {f"{name}:step": self._step(values[name]) for name in task.states}
        return {name: step for name, step in step_sizes.items() if step > 0.0}

    def _step(self, values: Array) -> float:
        """Return the usual distance between neighboring values of (n,), or 0 if continuous."""
        finite = _finite_sample(values)
        finite = finite[np.isfinite(finite)]
        finite.sort()
        span = float(finite[-1] - finite[0]) if len(finite) else 0.0
        gaps = np.diff(finite)
        gaps = gaps[gaps > _SAME * span]
        if span <= 0.0 or len(gaps) + 1 > _SHARE * len(finite):
            return 0.0
        return float(np.median(gaps))


def _finite_sample(values: Array) -> Array:
    """Return a sample of (n,) in stretches: neighboring rows show the quantization step."""
    if len(values) <= _ROWS:
        return values
    starts = np.linspace(0, len(values) - _ROWS // _STRETCHES, _STRETCHES).astype(np.intp)
    return values[(starts[:, None] + np.arange(_ROWS // _STRETCHES)).ravel()]
