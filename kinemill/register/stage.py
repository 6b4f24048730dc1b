"""Register stage: a verified bundle becomes a version with a decision; safe to kill at any point.

The order makes that safe: 1. the version is created in MLflow with its key, files and tags; 2. the
gate evaluates it, and sets the tag with the decision last. A run that finds a version with the key
but without a decision resumes at step 2. The stage holds the lock of the task.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from kinemill.errors import Blocked
from kinemill.register import tags
from kinemill.register.alias_switch import follow, guarded
from kinemill.register.bundle import make_bundle
from kinemill.register.decision_service import decide
from kinemill.register.gate.evaluation import make_measurements
from kinemill.register.gate.headline import headline_of
from kinemill.register.gate.inputs import Measurements
from kinemill.register.model_version import create_version
from kinemill.register.saved_task import save_task, task_content
from kinemill.register.verdict import Verdict
from kinemill.register.versions import CHALLENGER, CHAMPION, Version, find_version, versions_of
from kinemill.store import Artifact, ArtifactRef, Json, digest, open_ref, summary_of
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.store.provenance import code
from kinemill.task import Task
from kinemill.tracking import Tracking, log_dataset, open_tracking, start_run
from kinemill.tracking.runs import source_tags
from kinemill.train.summary import ModelSummary
from kinemill.verify.document import read_verification
from kinemill.verify.headline import performance

VERSION = 7
CURVES = "loss.png"  # of the trained model
Status = Literal["done", "refused", "unchanged"]


@dataclass(frozen=True)
class Produced:
    """Artifacts of a pipeline run: the provenance of a version.

    Attributes:
        verification: verification of the exported model.
        onnx_model: the exported model.
        model: the trained model, or a reference published as one.
        dataset: the dataset, or the card of the environment.
        run_id: MLflow run of the training; None: find it, or create a new run.
    """

    verification: ArtifactRef
    onnx_model: ArtifactRef
    model: ArtifactRef
    dataset: ArtifactRef
    run_id: str | None = None


@dataclass(frozen=True)
class Registration:
    """Result of a registration.

    Attributes:
        version: number of the version in the registry.
        alias: its current alias: champion, challenger or none.
        status: `done` if it became champion, `refused` if the gate refused it or it waits for
            approval, `unchanged` if it was decided before.
        gate: verdicts of the gate.
        run_id: the MLflow run of the training.
        report: the report with the decision, relative to the home.
        decision: the decision of the gate: champion, waiting or refused.
        provisional: why a champion is provisional; "" if it is not.
        headline: one sentence about the model.
        champion_errors: measurements of the champion: errors by channel, return, success.
        bundle: folder of the files that a robot downloads, relative to the home.
        logged_model: id of MLflow's logged model.
        previous_champion: number of the champion at the decision; None without one.
    """

    version: int
    alias: str | None
    status: Status
    gate: list[Verdict]
    run_id: str | None
    report: str
    decision: str
    provisional: str
    headline: str
    champion_errors: dict[str, float | None]
    bundle: str
    logged_model: str
    previous_champion: int | None


def inputs(task: Task, produced: Produced) -> Json:
    """Return the inputs that define the key of a version: artifacts and rules, not the champion."""
    return {
        "verification": produced.verification.digest,
        **task.part("promote"),
        "version": VERSION,
    }


def run(
    task: Task,
    home: Home,
    produced: Produced,
    *,
    commit: str | None = None,
    evidence: Measurements | None = None,
) -> Registration:
    """Register a verified model as challenger and let the gate decide about promotion.

    Args:
        task: task with the rules of the gate.
        home: home with the registry.
        produced: artifacts of the previous stages.
        commit: commit of the code; default: that of `kinemill.store.provenance`.
        evidence: measurements for the gate; default: the test split of the dataset, or trials in
            the environment.

    Returns:
        The version and its decision; `unchanged` if it had been decided before.
    """
    key = digest(inputs(task, produced))
    with guarded(home, task.name):
        tracking = open_tracking(home)
        follow(home, task.name)  # a decision that a killed process left open
        bundle = make_bundle(home, task.name, produced.onnx_model, produced.verification)
        stamped = _tags(task, home, produced, bundle, commit) | {tags.KEY: key}
        version = _find(home, task.name, stamped)
        if version and version.decision:
            return _registration(version, "unchanged")
        if version is None:
            folder = open_ref(home, bundle.ref)
            run_id = produced.run_id or _find_or_start_run(tracking, task, produced, key)
            save_task(home, task)
            created = create_version(tracking, task, folder, run_id, stamped)
            version = find_version(home, task.name, f":{created}")
        fault_point("register.created")
        _link(tracking, version, produced)
        evidence = evidence or make_measurements(task, home, produced.dataset)
        with _promoter_needed(version):
            decide(tracking, task, version, evidence)
        decided = find_version(tracking.home, task.name, f":{version.number}")
        return _registration(decided, "done" if decided.decision == CHAMPION else "refused")


@contextmanager
def _promoter_needed(version: Version) -> Generator[None]:
    """Convert the refusal of an MLflow server whose guard knows roles.

    Raises:
        Blocked: The user may register versions, but not decide about them.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        raise Blocked(
            version.name,
            f"is registered, and the gate may not decide about it ({error.message})",
            fix=f"a promoter runs kinemill run {version.task}, which evaluates the version",
        ) from error


def _registration(version: Version, status: Status) -> Registration:
    aliases = [alias for alias in (CHAMPION, CHALLENGER) if alias in version.aliases]
    return Registration(
        version=version.number,
        alias=aliases[0] if aliases else None,
        status=status,
        gate=version.gate,
        run_id=version.run_id,
        report=version.require(tags.REPORT),
        decision=str(version.decision),
        provisional=version.provisional,
        headline=headline_of(version).text,
        champion_errors=version.document.champion_errors if version.document else {},
        bundle=version.require(tags.BUNDLE),
        logged_model=version.logged_model,
        previous_champion=version.previous_champion,
    )


def _find(home: Home, task: str, stamped: Mapping[str, str]) -> Version | None:
    """Return the version with this key, and with these files unless it is decided.

    MLflow's users can copy versions and write tags: it is the oldest one.
    """
    for item in reversed(versions_of(home, task)):
        is_same = item.decision or item.tags.get(tags.SUMS) == stamped[tags.SUMS]
        if item.tags.get(tags.KEY) == stamped[tags.KEY] and is_same:
            return item
    return None


def _find_or_start_run(tracking: Tracking, task: Task, produced: Produced, key: str) -> str:
    """Return the run that trained the model, as tagged by an earlier registration, or a new run."""
    model = _model_summary(tracking.home, produced).trained or produced.model
    trained = tracking.client.search_runs(
        [tracking.experiment(task.name)], f"tags.`{tags.MODEL}` = '{model.digest}'", max_results=1
    )
    if trained:
        return trained[0].info.run_id
    run_id = start_run(tracking.home, task.name, key, tags={"kinemill.stage": "register"})
    tracking.client.set_terminated(run_id, "FINISHED")
    return run_id


def _tags(
    task: Task, home: Home, produced: Produced, bundle: Artifact, commit: str | None
) -> dict[str, str]:
    verification = read_verification(open_ref(home, bundle.ref))
    start = _model_summary(home, produced).started_from
    return {
        **({tags.STARTED_FROM: start.address} if start else {}),
        **_reference(home, produced),
        tags.MODEL_FOLDER: produced.model.path,
        tags.TASK: digest(task_content(task)),
        tags.DATASET: produced.dataset.digest,
        tags.MODEL: produced.model.digest,
        tags.VERIFICATION: produced.verification.digest,
        tags.ONNX: bundle.summary["onnx"],
        tags.COMMIT: commit or code(),
        **source_tags(task.name),
        tags.BUNDLE: bundle.ref.path,
        tags.BUNDLE_DIGEST: bundle.ref.digest,
        tags.SUMS: bundle.summary["sums"],
        **({tags.PERFORMANCE: text} if (text := performance(verification)) else {}),
    }


def _reference(home: Home, produced: Produced) -> dict[str, str]:
    """Return the tags of a reference: its name, and the model trained in the same run."""
    summary = _model_summary(home, produced)
    if summary.trained is None:
        return {}
    return {
        tags.REFERENCE: str(summary.reference),
        tags.TRAINED: summary.trained.digest,
        tags.TRAINED_FOLDER: summary.trained.path,
    }


def _model_summary(home: Home, produced: Produced) -> ModelSummary:
    return ModelSummary.read_folder(open_ref(home, produced.model))


def _link(tracking: Tracking, version: Version, produced: Produced) -> None:
    """Log dataset, learning curves and version on the run, and the version on its logged model."""
    client = tracking.client
    run_id = version.run_id
    dataset = produced.dataset
    summary = summary_of(tracking.home, dataset)
    log_dataset(client, run_id, version.task, dataset.digest, summary)
    curves = open_ref(tracking.home, produced.model) / CURVES
    if curves.is_file():  # a model that is fitted in closed form has none
        client.log_artifact(run_id, str(curves))
    client.set_tag(run_id, tags.VERSION, version.name)
    text = version.tags.get(tags.PERFORMANCE)
    run = client.get_run(run_id)
    if run.info.status != "FINISHED":  # MLflow was away at the end of the training
        client.set_terminated(run_id, "FINISHED")
    if text and tags.NOTE not in run.data.tags:  # keep a user's description
        client.set_tag(run_id, tags.NOTE, text)
    registered = [{"name": version.task, "version": str(version.number)}]
    client.set_logged_model_tags(
        version.logged_model, {"mlflow.modelVersions": json.dumps(registered)}
    )
    for name in (tags.DATASET, tags.REFERENCE):
        if name in version.tags:
            client.set_tag(run_id, name, version.tags[name])
    trained_model = version.tags.get(tags.TRAINED, version.tags[tags.MODEL])
    client.set_tag(run_id, tags.MODEL, trained_model)
