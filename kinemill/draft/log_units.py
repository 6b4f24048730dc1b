"""Units that logs state differently: other names are converted, and one name has one unit."""

from collections import Counter
from pathlib import Path

from kinemill.draft.table import Samples, Table
from kinemill.ingest.name_heuristics import Guess
from kinemill.task.units import factor, has_same_dimension

Choice = tuple[dict[str, Guess], dict[str, str]]  # of a log: chosen columns; reasons for the rest
ChosenTable = tuple[Table, Choice]


def without_mixed_units(
    choices: list[ChosenTable], source: Path
) -> tuple[list[ChosenTable], dict[str, str]]:
    """Return the logs that state the usual unit of each column, and why others are not used.

    Args:
        choices: logs with their chosen columns.
        source: the log, or the folder that the reasons name them in.
    """
    stated = [_stated_units(choice) for choice in choices]
    counts = Counter(pair for units in stated for pair in units.items())
    usual = dict(pair for pair, _ in reversed(counts.most_common()))  # the last of a name is kept
    used = list[ChosenTable]()
    mixed = dict[str, str]()
    for (table, choice), units in zip(choices, stated, strict=True):
        conflicts = [
            f"{name} in {unit}, and other logs in {usual[name]}"
            for name, unit in units.items()
            if unit != usual[name]
        ]
        if conflicts:
            name = table.path.name if table.path == source else table.path.relative_to(source)
            mixed[f"{name}/{table.part}" if table.part else f"{name}"] = (
                f"has {', '.join(conflicts)}"
            )
        else:
            used.append((table, choice))
    return used, mixed


def _stated_units(choice: ChosenTable) -> dict[str, str]:
    """Return the units that a log states of its chosen columns, by name."""
    table, (selected, _) = choice
    texts = {column: table.attributes_of(column.name).unit for column in selected.values()}
    return {column.name: column.unit or text for column, text in texts.items() if text}


def differing_units(usual: Guess, readings: list[tuple[Table, Guess]]) -> dict[str, str]:
    """Return the units of the columns that state another one than the usual column, by name."""
    stated = {
        candidate.name: candidate.unit for _, candidate in readings if candidate.name != usual.name
    }
    return {
        name: unit
        for name, unit in stated.items()
        if usual.unit and unit and unit != usual.unit and has_same_dimension(unit, usual.unit)
    }


def converted(samples: Samples, unit: str | None, usual: Guess) -> Samples:
    """Return samples in the unit of the usual column."""
    if unit is None or usual.unit is None:
        return samples
    scale, zero = factor(unit, usual.unit)
    return samples[0], scale * samples[1] + zero
