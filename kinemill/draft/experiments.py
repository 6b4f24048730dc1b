"""Several experiments in the columns of one file: `uEst`, `yEst` to train, `uVal`, `yVal` to test.

Columns belong to two experiments if their names differ in such a word alone, and each column of one
has its counterpart in the other. A single pair, or a third column of the same stem, is no evidence:
`pos_est` can be an estimate as well.

`u1`, `y1`, `u2`, `y2` may be two experiments as well, or the inputs and outputs of one machine: the
draft takes them for one machine, and asks.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kinemill.draft.constants import EXPERIMENT_FEWEST
from kinemill.draft.table import Table
from kinemill.ingest.name_heuristics import split_words

TRAINING = ("estimation", "est", "training", "train", "identification", "ident", "id")
TESTING = ("validation", "valid", "val", "testing", "test")
INPUTS = ("u", "in", "input")
OUTPUTS = ("y", "z", "out", "output")
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


def find_experiments(names: Iterable[str]) -> tuple[Experiment, Experiment] | None:
    """Return the experiment to learn from and the one to test with; None without evidence."""
    listed = list(names)
    words: dict[str, dict[Stem, str]] = {}
    for name in listed:
        for word, stem in _readings(name):
            words.setdefault(word, {})[stem] = name
    stems = {tuple(split_words(name)) for name in listed}
    pairs = [
        (words[first], first, words[second], second)
        for first in TRAINING
        for second in TESTING
        if first in words and second in words
    ]
    # Evidence: the same names carry both words, and none of these names exists without a word.
    complete = [
        pair
        for pair in pairs
        if len(pair[0]) >= EXPERIMENT_FEWEST
        and pair[0].keys() == pair[2].keys()
        and not stems & {*pair[0]}
    ]
    if len(complete) != 1:
        return None
    ((first_columns, first, second_columns, second),) = complete
    labels = {name: "_".join(stem) for stem, name in first_columns.items()}
    return (
        Experiment(first, {name: name for name in first_columns.values()}, labels),
        Experiment(
            second, {first_columns[stem]: second_columns[stem] for stem in first_columns}, labels
        ),
    )


def numbered_remark(table: Table) -> str:
    """Return a remark on columns such as u1, y1, u2, y2, which may be of two experiments, or ''."""
    columns = dict[str, list[str]]()
    for name in table.values:
        match = _NUMBERED.fullmatch(name)
        if match is None or match[1].lower() not in (*INPUTS, *OUTPUTS):
            return ""
        columns.setdefault(match[2], []).append(match[1].lower())
    stems = {tuple(sorted(column)) for column in columns.values()}
    if len(columns) < 2 or len(stems) > 1 or not {*INPUTS} & {*stems.pop()}:
        return ""
    names = ", ".join(table.values)
    return f"{names} are taken for one machine; for experiments one after another: ingest.parts"


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
    experiments = find_experiments(table.values)
    if not experiments:
        remark = numbered_remark(table)
        return [replace(table, remarks=(*table.remarks, remark)) if remark else table]
    names = {name for experiment in experiments for name in experiment.columns.values()}
    shared = {name: name for name in table.values if name not in names}
    return [
        named(
            replace(
                table,
                values={
                    column: table.values[column]
                    for column in (*experiment.columns.values(), *shared)
                },
            ),
            experiment,
        )
        for experiment in experiments
    ]


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
