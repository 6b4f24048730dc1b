"""Logs of a draft: the files of a folder that a reader can read, as tables."""

import os
from pathlib import Path

from kinemill.draft.schema_inference import form_of, survey
from kinemill.errors import BadInput
from kinemill.ingest.columns import Table
from kinemill.ingest.file_stat import is_file, is_folder
from kinemill.task import READERS

MOST_LOGS = 40  # logs of a folder that are read
_MODELS = (".xml", ".mjcf", ".urdf")  # of robots


def read_tables(source: Path, rate: float | None) -> tuple[list[Table], dict[str, str]]:
    """Return the tables of the logs, and why others cannot be read, by name."""
    if is_file(source):
        return survey(source, rate)[:MOST_LOGS], {}
    if not is_folder(source):
        raise BadInput(source, "is no file and no folder", fix="name a log, or a folder of logs")
    tables, problems = list[Table](), dict[str, str]()
    for path in _logs(source):
        try:
            tables += survey(path, rate)[: MOST_LOGS - len(tables)]
        except (BadInput, OSError) as error:
            problems[path.name] = str(error).removeprefix(f"{path}: ")
    if not tables:
        if problems:
            name, why = next(iter(problems.items()))
            raise BadInput(source, f"none of {len(problems)} logs can be read; {name}: {why}")
        raise BadInput(
            source,
            "holds no log for a draft",
            expected=f"files with the suffix {', '.join(_endings())}",
            fix=_robot_hint(source),
        )
    return tables, problems


def _logs(folder: Path) -> list[Path]:
    paths = [
        Path(root) / name
        for root, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_endings()) and not name.startswith((".", "~"))
    ]
    forms = ((path, form_of(path)) for path in sorted(paths) if is_file(path))
    return [p for p, form in forms if form and not READERS[form].describes(p)][:MOST_LOGS]


def _robot_hint(folder: Path) -> str | None:
    """Return what to do in a folder of models of robots instead of logs."""
    models = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _MODELS)
    first = next(models, None)
    if first is None:
        return None
    name = first.relative_to(folder)
    return f"{name} describes a robot: name a folder of logs with --from, and --robot {name}"


def _endings() -> tuple[str, ...]:
    return tuple(suffix for reader in READERS.values() for suffix in reader.suffixes)
