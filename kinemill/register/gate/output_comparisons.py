"""Comparison of the outputs of two models, such as forces, on the same rows as their states.

Symbols: W windows, H history, T horizon, Y outputs.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.runtime import Simulator
from kinemill.runtime.window_metrics import QUIETLY, Floats
from kinemill.verify.accuracy import CHUNK, gather
from kinemill.verify.comparison import Comparison
from kinemill.verify.errors import Errors
from kinemill.verify.scale import scale_of
from kinemill.verify.significance import compare_squares


@QUIETLY
def output_comparisons(
    models: tuple[Simulator, Simulator], rows: PackedDataset, errors: Errors, margin: float
) -> Mapping[str, Mapping[str, Comparison]]:
    """Compare the outputs that both models have, by steps as text and by name.

    After k steps the output belongs to the row k ahead, which needs k predicted states. At the
    horizon T it belongs to row T - 1, the last row with a known action.

    Args:
        models: challenger and champion.
        rows: the dataset with measured outputs.
        errors: errors of the challenger's states, which define windows and horizons.
        margin: margin of `Comparison.p_worse`.
    """
    names = [name for name in rows.outputs if all(name in one.outputs for one in models)]
    if not names or rows.output_values is None:
        return {}
    values = replace(rows, segments=[rows.output_values])
    columns = np.array([rows.outputs.index(name) for name in names])
    scale = scale_of(values, columns, np.zeros(len(names), dtype=bool))
    own, other = (_errors(one, rows, names, errors) for one in models)
    return {
        str(steps): dict(
            zip(
                names,
                compare_squares(
                    (own[:, at] ** 2, other[:, at] ** 2),
                    scale,
                    errors.episode,
                    errors.overlap(steps),
                    margin,
                )[1:],
                strict=True,
            )
        )
        for at, steps in enumerate(errors.by_horizon)
    }


def _errors(model: Simulator, rows: PackedDataset, names: list[str], errors: Errors) -> Floats:
    """Return prediction minus truth after the steps of `errors.by_horizon`, (W, steps, Y)."""
    assert rows.output_values is not None
    present = errors.starts + errors.history - 1
    starts, horizon = present - model.history + 1, errors.horizon
    offsets = np.minimum(list(errors.by_horizon), horizon - 1)
    predicted = list[Floats]()
    for first in range(0, len(starts), CHUNK):
        windows = gather(rows, starts[first : first + CHUNK], model.history, horizon)
        rolled = model.rollout_outputs(windows.states, windows.past_actions, windows.actions)[1]
        picked = rolled[:, offsets].astype(np.float64)
        predicted.append(picked[..., [list(model.outputs).index(name) for name in names]])
    truth = rows.output_values[present[:, None] + offsets].astype(np.float64)
    return np.concatenate(predicted) - truth[..., [rows.outputs.index(name) for name in names]]
