"""Optional columns of a draft: whether a column is needed, or the logs that lack it are kept.

Every log must have all channels of a task. A column that only most logs have is a channel if the
motion depends on it, and is left out otherwise: two linear models predict how the other states
change over a few rows, one with the column and one without it, and are compared on rows that they
were not fitted to.
"""

import numpy as np

from kinemill.draft.constants import (
    COMPARED_ROWS,
    OPTIONAL_HORIZON,
    OPTIONAL_LOGS,
    OPTIONAL_RIDGE,
)
from kinemill.draft.table import Table
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import Guess

Selected = dict[str, Guess]  # columns of a log by quantity


def error_reduction(family: str, core: list[str], logs: list[tuple[Table, Selected]]) -> float:
    """Return the relative reduction of the error by a column, of the state with the largest one.

    The result is 1, so that the column stays, if the columns have different clocks or no state.

    Args:
        family: quantity of the column.
        core: quantities that all logs have.
        logs: tables that have the column, with their columns by quantity.
    """
    gains = list[float]()
    for table, selected in logs[:OPTIONAL_LOGS]:
        columns = [table.values[selected[name].name][1][:COMPARED_ROWS] for name in [*core, family]]
        rows = {len(column) for column in columns}
        if len(rows) != 1:
            return 1.0  # of different clocks nothing is known, so the column stays
        states = [at for at, name in enumerate(core) if selected[name].role == "state"]
        if not states:
            return 1.0  # without a motion that all logs have, the column stays
        if gain := _gain(np.stack(columns, axis=1), states):
            gains.append(gain)
    return float(np.median(gains)) if gains else 0.0


def _gain(rows: Floats, states: list[int]) -> float | None:
    """Return the largest relative reduction of an error of (n, columns), the last in question."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    stds = rows.std(axis=0)
    if len(rows) < 20 * rows.shape[1] or stds[-1] == 0.0:
        return None
    scaled = (rows - rows.mean(axis=0)) / np.where(stds > 0.0, stds, 1.0)
    inputs = np.column_stack([scaled, np.ones(len(scaled))])[1:-OPTIONAL_HORIZON]
    # The last change replaces a velocity that may not be measured.
    inputs = np.column_stack([np.diff(scaled[:, :-1], axis=0)[:-OPTIONAL_HORIZON], inputs])
    changes = scaled[1 + OPTIONAL_HORIZON :, states] - scaled[1:-OPTIONAL_HORIZON, states]
    without = np.delete(inputs, -2, axis=1)
    errors = [held_out_errors(regressors, changes) for regressors in (without, inputs)]
    return float(np.max(1.0 - errors[1] / np.maximum(errors[0], 1e-12)))


def held_out_errors(inputs: Floats, changes: Floats) -> Floats:
    """Return the rms errors (s,) of (n, s) on every other hundred rows, fitted on the rest."""
    learned = (np.arange(len(inputs)) // 100) % 2 == 0
    if learned.all():
        learned = np.arange(len(inputs)) < len(inputs) // 2
    weights = ridge_fit(inputs[learned], changes[learned])
    return np.sqrt(np.mean((inputs[~learned] @ weights - changes[~learned]) ** 2, axis=0))


def ridge_fit(x: Floats, y: Floats) -> Floats:
    """Return weights (c, s) of a linear model from standardized inputs (n, c) to (n, s)."""
    ridge = OPTIONAL_RIDGE * len(x) * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(x.T @ x + ridge, x.T @ y), np.float64)
