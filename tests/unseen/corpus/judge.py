"""Compare the drafts of samples with those that are right for them."""

import re
from pathlib import Path

import yaml

from kinemill.draft.builder import build
from kinemill.draft.imitation import build_imitation
from kinemill.draft.own_logs import check_own_logs
from kinemill.draft.task_draft_writer import write_task
from kinemill.errors import KinemillError
from tests.unseen.corpus.samples import Sample

TOLERANCE = 0.02  # of the time step, relative
ASKED = re.compile(r"\?(;|$)|is taken for|is not known|inferred", re.MULTILINE)


def mistakes(sample: Sample, folder: Path) -> tuple[list[str], bool]:
    """Return what is wrong in the draft of a sample, and whether the draft asks or is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    sample.write(folder)
    builder = build_imitation if sample.learn == "imitation" else build
    try:
        draft = builder("drafted", folder)
        text = write_task(draft)
    except KinemillError as error:
        is_right = sample.dt is None and sample.says in str(error)
        return ([] if is_right else [f"refused: {error}"]), True
    if sample.dt is None:
        return [f"drafted with {draft.clock_line}"], False
    wrong = list[str]()
    if abs(draft.dt / sample.dt - 1.0) > TOLERANCE:
        wrong.append(f"dt {draft.dt:g}, not {sample.dt:g}; {draft.clock_line}")
    stated = yaml.safe_load(text)["ingest"].get("time_unit", "s") if "ingest:" in text else "s"
    if sample.unit is not None and str(stated) != str(sample.unit) and (
        float(stated) if str(stated)[0].isdigit() else stated
    ) != sample.unit:
        wrong.append(f"time_unit {stated}, not {sample.unit}")
    found = {name: column for column in draft.columns for name in column.names}
    for name, (role, unit) in sample.columns.items():
        column = found.get(name)
        if role == "left" or column is None:
            is_right = role == "left" and column is None
            wrong += [] if is_right else [f"{name} is {column.role if column else 'left out'}"]
            continue
        log_unit = column.log_unit or column.unit
        if role and column.role != role:
            wrong.append(f"{name} is {column.role}, not {role}")
        if unit and unit not in {column.unit, log_unit}:
            wrong.append(f"{name} in {log_unit}, not {unit}")
    if sample.says not in text:
        wrong.append(f"says nothing of {sample.says!r}")
    if sample.learn == "dynamics" and not wrong:
        checked = check_own_logs(draft)
        wrong += [f"quarantined: {entry['reasons']}" for entry in checked.refused]
        missing = max((column.missing for column in draft.columns), default=0.0)
        wrong += [f"{missing:.1%} of a column is missing"] if missing > 0.02 else []
    return wrong, ASKED.search(text) is not None
