"""Experiments side by side in one file: `uEst`, `yEst` to learn from, `uVal`, `yVal` to test with.

Columns belong to two experiments if their names differ in such a word alone, and each column of one
has its counterpart in the other. A single pair, or a third column of the same stem, is no evidence:
`pos_est` can be an estimate as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kinemill.ingest.columns import Table
from kinemill.ingest.name_heuristics import split_words

TRAINING = ("estimation", "est", "training", "train", "identification", "ident", "id")
TESTING = ("validation", "valid", "val", "testing", "test")
FEWEST = 2  # columns of each experiment

Stem = tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """The columns of one experiment.

    Attributes:
        part: its word in the names, such as `val`.
        columns: its own names by the names of the first experiment.
        stems: the names without that word, by the names of the first experiment.
    """

    part: str
    columns: Mapping[str, str]
    stems: Mapping[str, str]


def find_experiments(names: Iterable[str]) -> tuple[Experiment, Experiment] | None:
    """Return the experiment to learn from and the one to test with; None without evidence."""
    every = list(names)
    words: dict[str, dict[Stem, str]] = {}
    for name in every:
        for word, stem in _readings(name):
            words.setdefault(word, {})[stem] = name
    stems = {tuple(split_words(name)) for name in every}
    pairs = [
        (words[first], first, words[second], second)
        for first in TRAINING
        for second in TESTING
        if first in words and second in words
    ]
    complete = [
        pair
        for pair in pairs
        if len(pair[0]) >= FEWEST and pair[0].keys() == pair[2].keys() and not stems & {*pair[0]}
    ]
    if len(complete) != 1:
        return None
    ((own, first, other, second),) = complete
    labels = {name: "_".join(stem) for stem, name in own.items()}
    return (
        Experiment(first, {name: name for name in own.values()}, labels),
        Experiment(second, {own[stem]: other[stem] for stem in own}, labels),
    )


def _readings(name: str) -> Iterable[tuple[str, Stem]]:
    """Yield the word of an experiment in a name, and the words of the rest."""
    words = split_words(name)
    for index, word in enumerate(words):
        endings = [one for one in (*TRAINING, *TESTING) if word.endswith(one)]
        if not endings:
            continue
        marker = max(endings, key=len)  # `test` ends with `est` too
        rest = [word.removesuffix(marker)] if word != marker else []
        if stem := (*words[:index], *rest, *words[index + 1 :]):
            yield marker, stem


def split_table(table: Table) -> list[Table]:
    """Return a table for each experiment of a table, or the table itself."""
    experiments = find_experiments(table.values)
    if experiments is None:
        return [table]
    first, second = experiments
    names = {*first.columns.values(), *second.columns.values()}
    shared = {name: name for name in table.values if name not in names}
    return [
        named(
            replace(
                table,
                values={own: table.values[own] for own in (*one.columns.values(), *shared)},
            ),
            one,
        )
        for one in experiments
    ]


def named(table: Table, experiment: Experiment) -> Table:
    """Return the table of an experiment, with the column names of the first one."""
    names = {own: name for name, own in experiment.columns.items()}
    time = names.get(table.time, table.time) if table.time else None
    return replace(
        table,
        time=time,
        values={names.get(own, own): samples for own, samples in table.values.items()},
        part=f"{table.part}/{experiment.part}".lstrip("/"),
        experiment=experiment.part,
        labels={**experiment.stems, **table.labels},
        sources={name: own for name, own in experiment.columns.items() if name != own},
    )
