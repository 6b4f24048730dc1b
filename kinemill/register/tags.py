"""Names of tags of versions and runs in MLflow.

MLflow lists all tags of a version, so only tags that users filter by or robots read are separate
tags there (`VISIBLE`). The others are one JSON object in the tag `kinemill.internal`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from kinemill.errors import KinemillError
from kinemill.store import Json, from_json_value

KEY = "kinemill.key"  # digest of the artifacts and the rules
WISHES = "kinemill.wishes"  # digest of the task's rules
TASK = "kinemill.task_digest"  # digest of the task
DATASET = "kinemill.dataset"  # key of the dataset
MODEL = "kinemill.model"  # key of the trained model
MODEL_FOLDER = "kinemill.model_folder"  # folder of its weights, relative to the home
REFERENCE = "kinemill.reference"  # name of the reference that the version is; absent: trained
TRAINED = "kinemill.trained"  # of a reference: digest of the model trained in the same run
TRAINED_FOLDER = "kinemill.trained_folder"  # folder of its weights, relative to the home
STARTED_FROM = "kinemill.started_from"  # the version or folder that training started from
ONNX = "kinemill.onnx"  # sha256 of rollout.onnx
VERIFICATION = "kinemill.verification"  # key of the verification
COMMIT = "kinemill.commit"  # git commit of the code
BUNDLE = "kinemill.bundle"  # folder relative to the home
BUNDLE_DIGEST = "kinemill.bundle_digest"  # digest of the bundle
METRICS = "kinemill.metrics"  # the measured errors; JSON
GATE = "kinemill.gate"  # result of each rule of the gate; JSON
CHAMPION_ERRORS = "kinemill.champion_measured"  # the champion's errors by channel; JSON
PREVIOUS = "kinemill.previous_champion"  # version that was champion before
REPORT = "kinemill.report"  # file relative to the home
DECISION = "kinemill.decision"  # champion, waiting or refused; written last
VERSION = "kinemill.version"  # on the run: its version
APPROVED = "kinemill.approved"  # who, when, whether breaking; JSON
BETTER = "kinemill.blessing.better"  # yes or no: every rule but `serves` holds
PROVISIONAL = "kinemill.provisional"  # no, or why the champion is provisional
NO = "no"  # MLflow shows an empty tag as missing
SERVES = "kinemill.blessing.serves"  # yes or no: loads and predicts in the serving runtime
PERFORMANCE = "kinemill.performance"  # the sentence about errors and the best reference
NOTE = "mlflow.note.content"  # on the run: the description that MLflow shows
CHAMPION = (
    "kinemill.champion"  # on the registered model: the champion, in case its alias is deleted
)
NAME = "kinemill.task"  # on the registered model: its task
EVENT = "kinemill.event."  # in the ledger only: one line of the audit trail each, JSON
APPLIED = "kinemill.applied"  # on the registered model: number of the last applied ledger record
OWN = "kinemill."  # prefix of all tags
SUMS = "kinemill.sums"  # sha256 of `sha256sums`
INTERNAL = "kinemill.internal"  # on the version in MLflow: the tags that are not shown; JSON
VISIBLE = frozenset(
    {BETTER, COMMIT, DATASET, DECISION, PROVISIONAL, REFERENCE, SERVES, STARTED_FROM, SUMS}
)


def pack(stamped: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a version in the form that MLflow stores; `decision` is the last one."""
    hidden = {
        name: value
        for name, value in sorted(stamped.items())
        if name.startswith(OWN) and name not in VISIBLE
    }
    visible = {name: value for name, value in stamped.items() if name not in hidden}
    last = {name: visible.pop(name) for name in (DECISION,) if name in visible}
    return visible | ({INTERNAL: json.dumps(hidden)} if hidden else {}) | last


def unpack(stored: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a version from those that MLflow stores.

    Changes by other clients stay visible, so that they differ from the ledger: an invalid value of
    `kinemill.internal` stays a tag, and a separate tag replaces the hidden one of the same name.
    """
    try:
        value: Json = json.loads(stored.get(INTERNAL, "{}"))
        hidden = from_json_value(value, dict[str, str], Path(INTERNAL))
    except (ValueError, KinemillError):
        return dict(stored)
    return hidden | {name: value for name, value in stored.items() if name != INTERNAL}
