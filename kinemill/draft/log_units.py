"""Units that logs state differently for a column of one name: a task converts all by one unit."""

from collections import Counter
from pathlib import Path

from kinemill.draft.selection import ChosenTable


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
