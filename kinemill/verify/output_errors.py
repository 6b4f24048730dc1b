"""Errors of outputs: channels that a model predicts but does not feed back, such as forces.

Two errors are measured. At the current row states are measured, so only the output has an error.
After the horizon the error includes that of the predicted states. The references are the mean of
the training rows, and a linear map of the current row (with cos and sin of angles) fitted to them.

Symbols: W windows, N rows, H history, T horizon, S states, C columns, Y outputs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.windows import batches, gather, window_starts
from kinemill.reports.charts import number
from kinemill.reports.components import error_cells, name_of
from kinemill.reports.templates import table
from kinemill.runtime import Simulator
from kinemill.runtime.window_metrics import QUIETLY, Floats, evenly_spaced, nonzero_std
from kinemill.verify.accuracy import CHUNK
from kinemill.verify.check_results import OutputAccuracy
from kinemill.verify.checklist import Gate, finite

MOST_ROWS = 200_000  # most training rows in the fit of the linear map, evenly spaced
RIDGE = 1e-9  # penalty relative to the number of rows, which makes equal columns solvable


@QUIETLY
def output_accuracy(
    simulator: Simulator,
    dataset: PackedDataset,
    training: PackedDataset | None,
    split: str,
    horizon: int,
    stride: int,
) -> dict[str, OutputAccuracy]:
    """Return the errors of each output of a model, in its unit, by name; empty without outputs.

    Args:
        simulator: loaded with `non_finite="pass"`.
        dataset: dataset with measured outputs.
        training: dataset with the training rows of the references; if None, their errors are NaN.
        split: split of `dataset` to measure.
        horizon: number of predicted steps, T.
        stride: rows between the starts of windows.
    """
    if not simulator.outputs or dataset.output_values is None:
        return {}
    history = simulator.history
    starts = window_starts(dataset, split, history + horizon, stride)
    present = starts + history - 1
    names = list(dataset.outputs)
    error = output_deviations(simulator, dataset, names, present, np.array([0, horizon - 1]))
    rmse = np.sqrt((error**2).mean(axis=0))
    mean, linear, std = _references(dataset, training, present)
    return {
        name: OutputAccuracy(
            dataset.units[name],
            float(rmse[0, at]),
            float(rmse[1, at]),
            float(mean[at]),
            float(linear[at]),
            float(std[at]),
            horizon - 1,
        )
        for at, name in enumerate(names)
    }


def output_deviations(
    simulator: Simulator,
    dataset: PackedDataset,
    names: Sequence[str],
    present: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> Floats:
    """Return prediction minus truth of outputs, in units: (W,), (K,) -> (W, K, Y).

    Args:
        simulator: loaded with `non_finite="pass"`.
        dataset: dataset with measured outputs.
        names: outputs Y that both have.
        present: current row of each window.
        offsets: rows ahead of it, ascending; the last is T - 1.
    """
    assert dataset.output_values is not None
    starts = present - simulator.history + 1
    horizon = int(offsets[-1]) + 1
    predicted = list[Floats]()
    for chunk in batches(starts, CHUNK):
        windows = gather(dataset, chunk, simulator.history, horizon)
        rolled = simulator.rollout_outputs(windows.states, windows.past_actions, windows.actions)
        picked = rolled[1][:, offsets].astype(np.float64)
        predicted.append(picked[..., [list(simulator.outputs).index(name) for name in names]])
    truth = dataset.output_values[present[:, None] + offsets].astype(np.float64)
    return np.concatenate(predicted) - truth[..., [dataset.outputs.index(name) for name in names]]


def _references(
    dataset: PackedDataset, training: PackedDataset | None, present: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Return the RMSE of mean and linear map at rows (W,), and the training deviation, (Y,) each.

    All are in the units of the outputs.
    """
    if training is None or training.output_values is None or not training.of("train"):
        unknown = np.full(len(dataset.outputs), np.nan)
        return unknown, unknown, unknown
    rows = evenly_spaced(training.window_starts("train", 1), MOST_ROWS)
    targets = training.output_values[rows].astype(np.float64)
    center = targets.mean(axis=0)
    # The test rows below use the scale of the training rows: the weights apply to no other.
    terms, scale = _regressors(training, rows, None)
    square = terms.T @ terms + RIDGE * len(terms) * np.eye(terms.shape[1])
    weights = np.linalg.solve(square, terms.T @ (targets - center))
    assert dataset.output_values is not None
    truth = dataset.output_values[present].astype(np.float64)
    fitted = _regressors(dataset, present, scale)[0] @ weights + center
    constant = np.sqrt(((truth - center) ** 2).mean(axis=0))
    linear = np.sqrt(((truth - fitted) ** 2).mean(axis=0))
    return constant, linear, targets.std(axis=0)


def _regressors(
    dataset: PackedDataset, rows: NDArray[np.int64], scale: tuple[Floats, Floats] | None
) -> tuple[Floats, tuple[Floats, Floats]]:
    """Return scaled regressors of rows (N,) with a constant, (N, F), and the scale.

    The scale is the mean and standard deviation of each regressor. None: compute it from the rows.
    """
    values = dataset.take(rows).astype(np.float64)
    angle = np.array([name in dataset.angles for name in dataset.columns])
    turned = values[:, angle]
    parts = np.concatenate([values[:, ~angle], np.cos(turned), np.sin(turned)], axis=1)
    if scale is None:
        scale = parts.mean(axis=0), nonzero_std(parts.std(axis=0))
    scaled = (parts - scale[0]) / scale[1]
    return np.concatenate([scaled, np.ones((len(rows), 1))], axis=1), scale


def outputs_gate(accuracy: dict[str, OutputAccuracy]) -> list[Gate]:
    """Return the gate that the errors of outputs are finite; an empty list without outputs."""
    errors = [value for output in accuracy.values() for value in (output.rmse, output.rmse_horizon)]
    return [finite("finite outputs", bool(np.isfinite(errors).all()))] if errors else []


def outputs_section(accuracy: dict[str, OutputAccuracy], dt: float) -> str:
    """Return the section with the errors of outputs as HTML; empty without outputs.

    `dt` is the time step, s.
    """
    if not accuracy:
        return ""
    seconds = next(iter(accuracy.values())).steps * dt
    heads = ["Output", "Model", "Linear map", "Mean", f"Model, {seconds:.4g} s ahead"]
    rows = [
        [
            name_of(name, output.unit),
            *error_cells({"model": output.rmse, "linear": output.linear, "mean": output.mean}, {}),
            number(output.rmse_horizon),
        ]
        for name, output in accuracy.items()
    ]
    return (
        "<h2>Outputs</h2><p>Root mean square error of channels that are predicted but not fed "
        "back, at the current row, where states are measured, and after the horizon, where they "
        "are predicted. The linear map and the mean are fitted to the training rows. The best is "
        "bold.</p>" + table(heads, rows, numbers_from=1, even=True)
    )


def output_lines(accuracy: dict[str, OutputAccuracy]) -> tuple[Sequence[str], list[list[object]]]:
    """Return the heads and rows of the table of outputs for a terminal."""
    rows: list[list[object]] = [
        [name, output.unit, output.rmse, output.linear, output.mean, output.rmse_horizon]
        for name, output in accuracy.items()
    ]
    return ["output", "unit", "RMSE", "linear map", "mean", "RMSE ahead"], rows
