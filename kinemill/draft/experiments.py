"""Several experiments in the columns of one file: `uEst`, `yEst` to train, `uVal`, `yVal` to test.

Columns belong to two experiments if their names differ in such a word alone, and each column of one
has its counterpart in the other. A single pair, or a third column of the same stem, is no evidence:
`pos_est` can be an estimate as well.

`u1`, `y1`, `u2`, `y2` are two experiments, or the inputs and outputs of one machine. They are
experiments if one model fits all, and either no column of one improves the predictions of another,
or their inputs are the same up to a factor, which cannot identify a machine with several inputs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np

from kinemill.draft.constants import (
    COMPARED_ROWS,
    EXPERIMENT_COUPLED,
    EXPERIMENT_EXACT,
    EXPERIMENT_FEWEST,
    EXPERIMENT_LAGS,
    EXPERIMENT_LARGEST_RATIO,
    EXPERIMENT_SAME,
)
from kinemill.draft.optional_columns import held_out_errors, ridge_fit
from kinemill.draft.table import Table
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import is_stamp, split_words

TRAINING = ("estimation", "est", "training", "train", "identification", "ident", "id")
TESTING = ("validation", "valid", "val", "testing", "test")
INPUTS = ("u", "in", "input")
OUTPUTS = ("y", "z", "out", "output")
_RUN = re.compile(r"([A-Za-z_]+\d+)[/_.](.+)")
_NUMBERED = re.compile(r"([A-Za-z]+)_?(\d+)")

Stem = tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """The columns of one experiment.

    Attributes:
        part: word of the experiment in the names, such as `val`.
        columns: its column names by those of the first experiment.
        stems: column names without that word, by those of the first experiment.
    """

    part: str
    columns: Mapping[str, str]
    stems: Mapping[str, str]


def find_experiments(names: Iterable[str]) -> Sequence[Experiment] | None:
    """Return the experiments, of two the one to learn from first; None without evidence."""
    listed = list(names)
    if runs := _clocked_experiments(listed):
        return runs
    words: dict[str, dict[Stem, str]] = {}
    for name in listed:
        for word, stem in _readings(name):
            words.setdefault(word, {})[stem] = name
    stems = {tuple(split_words(name)) for name in listed}
    # Evidence: the same names carry both words, and none of these names exists without a word.
    pairs = [
        (first, second)
        for first, second in product(TRAINING, TESTING)
        if len(columns := words.get(first, {})) >= EXPERIMENT_FEWEST
        and columns.keys() == words.get(second, {}).keys()
        and stems.isdisjoint(columns)
    ]
    if len(pairs) != 1:
        return None
    spelled = {stem: "_".join(stem) for stem in words[pairs[0][0]]}
    return _by_part(
        {part: {spelled[stem]: words[part][stem] for stem in spelled} for part in pairs[0]}
    )


def _by_part(columns: Mapping[str, Mapping[str, str]]) -> list[Experiment]:
    """Return an experiment for each part, from its column names by stem."""
    first = next(iter(columns.values()))
    stems = {name: stem for stem, name in first.items()}
    return [
        Experiment(part, {first[stem]: of[stem] for stem in first}, stems)
        for part, of in columns.items()
    ]


def _clocked_experiments(names: list[str]) -> list[Experiment]:
    """Return numbered runs side by side, each with a clock: `run_1/time`, `run_1/q`; `ep0_t`."""
    runs: dict[str, dict[str, str]] = {}
    for name in names:
        if match := _RUN.match(name):
            runs.setdefault(match[1], {})[match[2]] = name
    stems = [*next(iter(runs.values()), {})]
    is_complete = len(runs) > 1 and all(run.keys() == {*stems} for run in runs.values())
    prefixes = {run.rstrip("0123456789") for run in runs}
    has_clock = len(stems) > EXPERIMENT_FEWEST and any(map(is_stamp, stems))
    if not is_complete or len(prefixes) > 1 or not has_clock:
        return []
    ordered = sorted(runs, key=lambda run: (len(run), run))
    return _by_part({run: runs[run] for run in ordered})


def numbered_experiments(table: Table) -> list[Experiment]:
    """Return the experiments whose columns end with different numbers; none without evidence."""
    columns: dict[str, dict[str, str]] = {}
    changing = [
        name
        for name, (_, values) in table.values.items()
        if len(finite := values[np.isfinite(values)]) and np.ptp(finite)
    ]
    for name in changing:
        match = _NUMBERED.fullmatch(name)
        if match is None or match[1].lower() not in (*INPUTS, *OUTPUTS):
            return []
        columns.setdefault(match[2], {})[match[1].lower()] = name
    stems = sorted(next(iter(columns.values()), {}), key=(*INPUTS, *OUTPUTS).index)
    is_complete = all(sorted(column) == sorted(stems) for column in columns.values())
    lengths = {len(table.values[name][1]) for name in changing}
    kinds = [any(stem in kind for stem in stems) for kind in (INPUTS, OUTPUTS)]
    if len(columns) < 2 or not all(kinds) or not is_complete or len(lengths) > 1:
        return []
    numbers = sorted(columns, key=int)
    outputs = [at for at, stem in enumerate(stems) if stem in OUTPUTS]
    rows = [
        np.stack([table.values[columns[number][stem]][1][:COMPARED_ROWS] for stem in stems], axis=1)
        for number in numbers
    ]
    if not _is_same_machine(rows, outputs):
        return []
    return _by_part({f"run{n}": {stem: columns[n][stem] for stem in stems} for n in numbers})


def _is_same_machine(rows: Sequence[Floats], outputs: list[int]) -> bool:
    """Return whether the recordings are experiments with one machine, made one after another.

    Args:
        rows: values (rows, columns) of each recording.
        outputs: indices of the predicted columns.
    """
    finite = np.isfinite(np.concatenate(rows, axis=1)).all(axis=1)
    rows = [row[finite] for row in rows]
    center = np.mean([row.mean(axis=0) for row in rows], axis=0)
    scale = np.sqrt(np.mean([row.var(axis=0) for row in rows], axis=0))
    if len(rows[0]) < 20 * EXPERIMENT_LAGS * len(rows) * len(scale) or not scale.all():
        return False
    rows = [(row - center) / scale for row in rows]
    inputs = [_regressors(row, outputs) for row in rows]
    changes = [np.diff(row[EXPERIMENT_LAGS - 1 :, outputs], axis=0) for row in rows]
    alone = [_errors(x, y) for x, y in zip(inputs, changes, strict=True)]
    if not _have_same_input(rows, outputs) and _are_coupled(inputs, changes, alone):
        return False
    for a, b in permutations(range(len(rows)), 2):
        misses = inputs[b] @ ridge_fit(inputs[a], changes[a]) - changes[b]
        if (np.sqrt(np.mean(misses**2, axis=0)) >= EXPERIMENT_LARGEST_RATIO * alone[b]).any():
            return False
    return True


def _regressors(rows: Floats, outputs: list[int]) -> Floats:
    """Return what a row depends on: (n, c) -> (n - LAGS, LAGS c + inputs + 1).

    These are the LAGS rows before it, the inputs of the row itself, and a constant.
    """
    lags = [rows[EXPERIMENT_LAGS - lag : len(rows) - lag] for lag in range(1, EXPERIMENT_LAGS + 1)]
    current_inputs = np.delete(rows[EXPERIMENT_LAGS:], outputs, axis=1)
    return np.concatenate([*lags, current_inputs, np.ones((len(current_inputs), 1))], axis=1)


def _have_same_input(rows: Sequence[Floats], outputs: list[int]) -> bool:
    """Return whether the inputs of all recordings are the same up to a factor."""
    inputs = [np.delete(row, outputs, axis=1) for row in rows]
    first = inputs[0]
    return all(
        abs(np.corrcoef(first[:, at], input_[:, at])[0, 1]) > EXPERIMENT_SAME
        for input_ in inputs[1:]
        for at in range(first.shape[1])
        if np.ptp(first[:, at]) and np.ptp(input_[:, at])
    )


def _are_coupled(inputs: list[Floats], changes: list[Floats], alone: list[Floats]) -> bool:
    """Return whether columns of other recordings improve the predictions of some recording."""
    combined = np.concatenate(inputs, axis=1)
    return any(
        (_errors(combined, change) < (1.0 - EXPERIMENT_COUPLED) * errors).any()
        for change, errors in zip(changes, alone, strict=True)
    )


def _errors(inputs: Floats, changes: Floats) -> Floats:
    """Return rms errors (outputs,) of a linear model, at least those that count as exact."""
    return np.maximum(held_out_errors(inputs, changes), EXPERIMENT_EXACT * changes.std(axis=0))


def _readings(name: str) -> Iterable[tuple[str, Stem]]:
    """Yield the word of an experiment in a name, and the words of the rest."""
    words = split_words(name)
    for index, word in enumerate(words):
        endings = [ending for ending in (*TRAINING, *TESTING) if word.endswith(ending)]
        if not endings:
            continue
        marker = max(endings, key=len)  # `test` ends with `est` too
        rest = [word.removesuffix(marker)] if word != marker else []
        if stem := (*words[:index], *rest, *words[index + 1 :]):
            yield marker, stem


def split_table(table: Table) -> list[Table]:
    """Return a table for each experiment of a table, or the table itself."""
    experiments = find_experiments(table.values) or numbered_experiments(table)
    if not experiments:
        return [table]
    names = {name for experiment in experiments for name in experiment.columns.values()}
    shared = [name for name in table.values if name not in names]
    tables = list[Table]()
    for experiment in experiments:
        columns = (*experiment.columns.values(), *shared)
        part = replace(table, values={column: table.values[column] for column in columns})
        tables.append(named(part, experiment))
    return tables


def named(table: Table, experiment: Experiment) -> Table:
    """Return the table of an experiment, with the column names of the first one."""
    names = {column: name for name, column in experiment.columns.items()}
    time = names.get(table.time, table.time) if table.time else None
    return replace(
        table,
        time=time,
        values={names.get(column, column): samples for column, samples in table.values.items()},
        part=f"{table.part}/{experiment.part}".lstrip("/"),
        experiment=experiment.part,
        labels={**experiment.stems, **table.labels},
        sources={name: column for name, column in experiment.columns.items() if name != column},
    )
