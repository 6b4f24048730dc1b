"""Detection of a decided model that a newer kinemill verified again.

The key of a version contains the digest of its verification, which changes when a newer kinemill
checks more. If files, data, task rules and results are the same, the earlier decision is kept.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.bundle import SUMS, read_sums
from kinemill.register.gate.rules import RULES, GateInputs
from kinemill.register.gate.rules.measured import TOLERANCE
from kinemill.register.versions import Version, bundle_folder, versions_of
from kinemill.store import digest, to_json_value
from kinemill.task import Task
from kinemill.tracking import Tracking
from kinemill.verify.document import VERIFICATION, Verification, read_verification

_ON_PAPER = ("verified", "parity", "precision", "latency", "stability", "closed_loop", "coverage")
_VERDICTS = (VERIFICATION, "report.html", "cases.npz", SUMS)  # not part of the model


def wishes(task: Task) -> str:
    """Return the digest of a task's rules for challengers, without default values.

    A new setting with a default therefore does not change the digest of old tasks.
    """
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
    """Return the decided version with the same files, data, rules and results, if any."""
    for version in versions_of(tracking.home, task.name):
        same = all(version.tags.get(tag) == stamped[tag] for tag in (tags.MODEL, tags.DATASET))
        if version.decision and same and version.tags.get(tags.WISHES) == wishes(task):
            try:
                earlier = bundle_folder(tracking.home, version)
            except (BadInput, CorruptArtifact):
                continue  # its files were deleted
            documents = (read_verification(one) for one in (earlier, folder))
            if _same_files(earlier, folder) and same_end(task, *documents):
                return version
    return None


def _same_files(earlier: Path, now: Path) -> bool:
    old, new = (
        {name: sha for name, sha in read_sums(folder).items() if name not in _VERDICTS}
        for folder in (earlier, now)
    )
    return old == new


def same_end(task: Task, old: Verification, new: Verification) -> bool:
    """Return whether two verifications of the same files are equal except for rounding."""
    return (
        _verdicts(task, old) == _verdicts(task, new)
        and old.windows.count == new.windows.count
        and _near(to_json_value(old.metrics), to_json_value(new.metrics))
        and _near(_gates(old), _gates(new))
    )


def _verdicts(task: Task, document: Verification) -> dict[str, bool]:
    """Return the verdicts of the rules that use only the verification document."""
    inputs = GateInputs(task, document)
    return {line.rule: line.passed for rule in _ON_PAPER for line in RULES[rule](inputs)}


def _gates(document: Verification) -> dict[str, bool]:
    return {gate.name: gate.passed for gate in document.gates}


def _near(old: object, new: object) -> bool:
    """Return whether a document contains all values of another; it may contain more."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(
            name in new and _near(value, new[name]) for name, value in old.items()
        )
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=TOLERANCE)
    return old == new
