"""NaN propagation: a NaN in one input row must fill all outputs of that row and of no other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinemill.verify.check_results import NanPropagation
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.test_inputs import Array, Arrays

ROWS = 7  # batch size; the NaN is in the middle row
GATE = "NaN stays in its row"


@dataclass(frozen=True)
class Call:
    """A function of an exported file, with the inputs of one batch.

    Attributes:
        name: `rollout`, `step` or `policy`.
        inputs: floating-point tensors by name, each (N, ...).
        run: function from these inputs to the outputs, each (N, ...).
    """

    name: str
    inputs: Arrays
    run: Callable[[Mapping[str, Array]], Sequence[Array]]


def propagate_nan(calls: Sequence[Call]) -> list[NanPropagation]:
    """Run calls with a NaN at the first, middle and last place of each input, one at a time."""
    results: list[NanPropagation] = []
    for call in calls:
        for name, clean in call.inputs.items():
            row = len(clean) // 2
            size = clean[0].size
            # Inputs of size 0, such as past actions with history 1, have no place for a NaN.
            for index in sorted({0, size // 2, size - 1} if size else set[int]()):
                changed = clean.copy()
                changed[row].flat[index] = np.nan
                outputs = call.run({**call.inputs, name: changed})
                fills_row = all(bool(np.isnan(out[row]).all()) for out in outputs)
                remaining = (np.delete(out, row, 0) for out in outputs)
                is_contained = all(bool(np.isfinite(out).all()) for out in remaining)
                results.append(NanPropagation(call.name, name, fills_row, is_contained))
    return results


def nan_gate(results: Sequence[NanPropagation]) -> Gate:
    """Return the gate that every NaN stays in its row."""
    faults = sorted({f"not for {result.tensor}" for result in results if not result.passed})
    return gate(GATE, faults, "NaN in its row and in no other", f"{len(results)} tests")
