"""Detect a model that was already decided on, verified again by a newer kinemill.

The key of a version contains the digest of its verification, which changes when a newer kinemill
checks more. If files, data, task rules and results are the same, the decision stands.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.bundle import SUMS, read_sums
from kinemill.register.gate.rules import RULES, GateInputs
from kinemill.register.gate.rules.measured import TOLERANCE
from kinemill.register.versions import Version, bundle_folder, versions_of
from kinemill.store import Json, digest, read_json
from kinemill.task import Task
from kinemill.tracking import Tracking

_ON_PAPER = ("verified", "parity", "precision", "latency", "stability")
_VERDICTS = ("verification.json", "report.html", "cases.npz", SUMS)  # not part of the model


def wishes(task: Task) -> str:
    """Return the digest of a task's rules for challengers, without default values."""
    parts = {"promote": task.promote, "verify": task.verify}
    return digest(
        {
            name: part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            for name, part in parts.items()
        }
    )


def decided_before(
    tracking: Tracking, task: Task, stamped: Mapping[str, str], folder: Path
) -> Version | None:
    """Return the decided version with the same files, data, rules and results, if any.

    Args:
        tracking: the registry.
        task: the task with its rules.
        stamped: tags of the new version.
        folder: bundle of the new version.
    """
    for version in versions_of(tracking.home, task.name):
        same = all(version.tags.get(tag) == stamped[tag] for tag in (tags.MODEL, tags.DATASET))
        if version.decision and same and version.tags.get(tags.WISHES) == wishes(task):
            try:
                earlier = bundle_folder(tracking.home, version)
            except (BadInput, CorruptArtifact):
                continue  # its files were deleted
            documents = (read_json(one / "verification.json") for one in (earlier, folder))
            if _same_files(earlier, folder) and same_end(task, *documents):
                return version
    return None


def _same_files(earlier: Path, now: Path) -> bool:
    old, new = (
        {name: sha for name, sha in read_sums(folder).items() if name not in _VERDICTS}
        for folder in (earlier, now)
    )
    return old == new


def same_end(task: Task, old: Json, new: Json) -> bool:
    """Return whether two verifications of the same files are equal except for rounding."""
    return (
        _verdicts(task, old) == _verdicts(task, new)
        and _count(old) == _count(new)
        and _near(old.get("metrics"), new.get("metrics"))
        and _near(_gates(old), _gates(new))
    )


def _verdicts(task: Task, document: Json) -> dict[str, bool]:
    """Return the verdicts of the rules that use only the verification document."""
    inputs = GateInputs(task, document)
    return {line.rule: line.passed for rule in _ON_PAPER for line in RULES[rule](inputs)}


def _count(document: Json) -> int | None:
    return document.get("windows", {}).get("count")


def _gates(document: Json) -> dict[str, bool]:
    return {gate["name"]: gate["passed"] for gate in document.get("gates", [])}


def _near(old: Any, new: Any) -> bool:
    """Return whether a document contains all values of another; it may contain more."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(
            name in new and _near(value, new[name]) for name, value in old.items()
        )
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (old, new))
    return math.isclose(old, new, rel_tol=TOLERANCE) if numbers else old == new
