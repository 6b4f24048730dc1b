"""Decision about a version: evaluate the gate, publish the decision, then apply it."""

import math
import tempfile
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.alias_switch import ChampionChanged, apply_decision
from kinemill.register.audit_log import Event, read_events
from kinemill.register.decision import DECISION_FILE, DecisionFacts
from kinemill.register.gate import decision_document
from kinemill.register.gate.evaluation import (
    approval_of,
    conclude,
    evaluate,
    make_gate_inputs,
)
from kinemill.register.gate.inputs import GateInputs, Measurements, Serve
from kinemill.register.gate.rules import Verdict
from kinemill.register.robot_trials import trials_of
from kinemill.register.versions import (
    CHALLENGER,
    CHAMPION,
    Version,
    bundle_folder,
    champion_of,
    copy_bundle,
)
from kinemill.store import fault_point, open_ref
from kinemill.task import Task
from kinemill.tracking import Tracking
from kinemill.verify.document import read_verification

_ATTEMPTS = 3  # evaluations, if another MLflow client moves the champion during each


def decide(tracking: Tracking, task: Task, version: Version, evidence: Measurements) -> None:
    """Evaluate an undecided version, publish the decision, then apply it.

    Call it under `guarded`. The tag with the decision is set last: if the process dies before that,
    the version is evaluated again, unless it is champion already.

    Raises:
        ChampionChanged: Other MLflow clients moved the champion during each evaluation.
    """
    if CHAMPION not in version.aliases:
        tracking.client.set_registered_model_alias(task.name, CHALLENGER, str(version.number))
    for attempt in range(1, _ATTEMPTS + 1):
        champion = champion_of(tracking.home, task.name)
        facts, verdicts = _evaluate(tracking, task, version, evidence, champion)
        _publish_decision(tracking, version, facts, verdicts)
        fault_point("register.decided")
        why = _why(verdicts, facts.provisional)
        previous = champion.number if champion else None
        event = Event.of(facts.decision, version.number, previous, why)
        try:
            apply_decision(tracking, task.name, event)
        except ChampionChanged:
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def _why(verdicts: list[Verdict], provisional: str) -> str:
    if provisional:
        return f"provisional: {provisional}"
    failed = [
        f"{item.rule}: {decision_document.show_value(item.value)}"
        for item in verdicts
        if not item.passed
    ]
    return "; ".join(failed) or f"all {len(verdicts)} lines of the gate"


def _evaluate(
    tracking: Tracking,
    task: Task,
    version: Version,
    evidence: Measurements,
    champion: Version | None,
) -> tuple[DecisionFacts, list[Verdict]]:
    """Return the facts of the decision and the verdicts."""
    home = tracking.home
    events = read_events(home, task.name)
    # A champion that is evaluated again, after trials on the robot, has no opponent.
    is_champion = champion is not None and champion.number == version.number
    opponent = None if is_champion else champion
    folder = bundle_folder(home, version)
    verification = read_verification(folder)
    initial = GateInputs(
        task,
        verification,
        served=serves(tracking, version, evidence.serve),
        approval=approval_of(version, events),
        trials=trials_of(version.number, events),
        champion_trials=trials_of(opponent.number, events) if opponent else None,
    )
    inputs = make_gate_inputs(initial, folder, opponent, evidence)
    verdicts = evaluate(inputs)
    conclusion = conclude(inputs, verdicts)
    measured = inputs.champion.measured if inputs.champion else None
    previous = champion.number if champion else None
    if is_champion and conclusion.decision == CHAMPION:
        previous = version.previous_champion
    facts = DecisionFacts(
        task=task.name,
        version=version.number,
        decision=conclusion.decision,
        provisional=conclusion.provisional,
        previous_champion=previous,
        key=version.require(tags.KEY),
        metrics=verification.metrics,
        champion_errors={
            name: error if math.isfinite(error) else None
            for name, error in (measured.channels.items() if measured else ())
        },
    )
    return facts, verdicts


def serves(tracking: Tracking, version: Version, serve: Serve) -> tuple[bool, str]:
    """Return whether MLflow's copy loads and predicts in the serving runtime, and a message."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="kinemill-copy-") as scratch:
        try:
            copy_bundle(tracking, version, Path(scratch))
            return serve(Path(scratch))
        except (MlflowException, CorruptArtifact, BadInput, OSError) as error:
            return False, f"the registered copy is damaged: {str(error).splitlines()[0]}"


def _publish_decision(
    tracking: Tracking, version: Version, facts: DecisionFacts, verdicts: list[Verdict]
) -> None:
    """Publish the decision in the store and in MLflow, as files, tags and description."""
    home = tracking.home
    client = tracking.client
    text = version.tags.get(tags.PERFORMANCE, "")
    published = decision_document.make_decision(
        home, facts, verdicts, bundle_folder(home, version), text
    )
    folder = open_ref(home, published.ref)
    for name in (DECISION_FILE, "report.html"):
        client.log_model_artifact(version.logged_model, str(folder / name), "decision")
    in_run = decision_document.report_folder(version.number)
    client.log_artifact(version.run_id, str(folder / "report.html"), in_run)
    stamped = {
        tags.REPORT: f"{published.ref.path}/report.html",
        tags.PROVISIONAL: facts.provisional or tags.NO,
    }
    for name, value in stamped.items():
        client.set_model_version_tag(version.task, str(version.number), name, value)
    described = decision_document.markdown(facts, verdicts, text)
    client.update_model_version(version.task, str(version.number), described)
