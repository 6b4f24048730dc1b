"""Compare the drafts of samples with those that are right for them."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from kinemill.draft.builder import build
from kinemill.draft.draft_check import check_draft
from kinemill.draft.imitation import build_imitation
from kinemill.draft.task_draft_writer import Draft, write_task
from kinemill.errors import KinemillError
from tests.unseen.corpus.samples import Sample

TOLERANCE = 0.02  # of the time step, relative
MISSING = 0.02  # share of a sound column that may be missing
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
    wrong = [*_clock(sample, draft, text), *_columns(sample, draft)]
    if sample.says not in text:
        wrong.append(f"says nothing of {sample.says!r}")
    if sample.learn == "dynamics" and not wrong:
        wrong += [f"quarantined: {entry['reasons']}" for entry in check_draft(draft).refused]
    return wrong, ASKED.search(text) is not None


def _clock(sample: Sample, draft: Draft, text: str) -> Iterator[str]:
    """Yield what is wrong with the clock."""
    if sample.dt is None or abs(draft.dt / sample.dt - 1.0) > TOLERANCE:
        yield f"dt {draft.dt:g}, not {sample.dt}; {draft.clock_line}"
    stated = yaml.safe_load(text).get("ingest", {}).get("time_unit", "s")
    # PyYAML reads 1e-07 as a text.
    is_same = (
        stated == sample.unit or str(stated) == f"{sample.unit:.10g}"
        if isinstance(sample.unit, float)
        else stated == sample.unit
    )
    if sample.unit is not None and not is_same:
        yield f"time_unit {stated}, not {sample.unit}"


def _columns(sample: Sample, draft: Draft) -> Iterator[str]:
    """Yield what is wrong with roles and units."""
    found = {name: column for column in draft.columns for name in column.names}
    for name, (role, unit) in sample.columns.items():
        column = found.get(name)
        is_role = column.role if column else "left"
        allowed = {"no action": {"left", "state", "output"}, None: {"state", "action", "output"}}
        if is_role not in allowed.get(role, {role}):
            yield f"{name} is {is_role}, not {role}"
        elif column and unit not in {None, column.unit, column.log_unit}:
            yield f"{name} in {column.log_unit or column.unit}, not {unit}"
    for column in draft.columns:
        if column.missing > MISSING:
            yield f"{column.missing:.1%} of {column.channel} is missing"
