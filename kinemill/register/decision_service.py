"""Decision about a version: evaluate the gate, publish the decision, then apply it."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.alias_switch import Event, last_champion, move_champion
from kinemill.register.commit import commit
from kinemill.register.gate import decision_document
from kinemill.register.gate.decision_document import DecisionFacts
from kinemill.register.gate.evaluation import (
    Challenger,
    Conclusion,
    CurrentChampion,
    approval_of,
    conclude,
    evaluate,
    make_gate_inputs,
)
from kinemill.register.gate.inputs import Measurements, Serve
from kinemill.register.gate.rules import Verdict
from kinemill.register.ledger import Change
from kinemill.register.versions import (
    CHALLENGER,
    CHAMPION,
    SHORT,
    Version,
    aliases_of,
    bundle_folder,
    copy_bundle,
    find_version,
)
from kinemill.store import fault_point, open_ref
from kinemill.task import Task
from kinemill.tracking import Tracking
from kinemill.verify.analysis import plain
from kinemill.verify.document import read_verification


def decide(tracking: Tracking, task: Task, version: Version, evidence: Measurements) -> None:
    """Evaluate an undecided version, publish the decision, then commit it.

    Call it under `guarded`. Tags, aliases and the audit entry are one record. If the process dies
    before the record, the version stays undecided and is evaluated again. If it dies after the
    record, the next command completes the decision.

    Raises:
        ChampionChanged: Another MLflow client moved the champion while the version was evaluated.
    """
    commit(tracking, task.name, Change(aliases={CHALLENGER: version.number}))
    verdicts, conclusion, champion, champion_errors = _evaluate(tracking, task, version, evidence)
    decision = conclusion.decision
    facts = DecisionFacts(
        task=task.name,
        version=version.number,
        decision=decision,
        provisional=conclusion.provisional,
        previous_champion=champion,
        key=version.tags[tags.KEY],
    )
    change = _publish_decision(tracking, version, facts, verdicts)
    fault_point("register.decided")
    stamped = {
        **change.tags[version.number],
        tags.CHAMPION_ERRORS: champion_errors,
        tags.DECISION: decision,
    }
    change = replace(change, tags={version.number: stamped})
    if decision == CHAMPION:
        moved = move_champion(tracking, task.name, version.number, champion)
        change = replace(change, aliases=moved.aliases, notes=moved.notes)
    event = Event.of(decision, version.number, champion, _why(verdicts, conclusion.provisional))
    commit(tracking, task.name, change, event)
    fault_point("register.switched")


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
    tracking: Tracking, task: Task, version: Version, evidence: Measurements
) -> tuple[list[Verdict], Conclusion, int | None, str]:
    """Return verdicts, conclusion, number of the champion, and its errors by channel as JSON."""
    number = aliases_of(tracking.home, task.name).get(CHAMPION)
    folder = bundle_folder(tracking.home, version)
    challenger = Challenger(
        folder,
        read_verification(folder),
        serves(tracking, version, evidence.serve),
        approval_of(version),
    )
    inputs = make_gate_inputs(
        task, challenger, _current_champion(tracking, task.name, number), evidence
    )
    other = inputs.champion.measured if inputs.champion else None
    verdicts, channels = evaluate(inputs), plain(other.channels if other else {})
    return verdicts, conclude(inputs, verdicts), number, json.dumps(channels)


def _current_champion(tracking: Tracking, task: str, current: int | None) -> CurrentChampion | None:
    """Return the champion; one whose alias or version was deleted has no version to compare."""
    number = current or last_champion(tracking, task)
    if number is None:
        return None
    try:
        version = find_version(tracking.home, task, f":{number}") if current else None
    except BadInput:
        version = None
    return CurrentChampion(tracking, number, version)


def serves(tracking: Tracking, version: Version, serve: Serve) -> tuple[bool, str]:
    """Return whether MLflow's copy loads and predicts in the serving runtime, and a message."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="kinemill-copy-") as scratch:
        try:
            copy_bundle(tracking, version, Path(scratch))
            return serve(Path(scratch))
        except (MlflowException, CorruptArtifact, BadInput, OSError) as error:
            return False, f"the registered copy is damaged: {str(error).splitlines()[0]}"


def _links(version: Version) -> str:
    """Return a line with links to the pages of a version, and its dataset, markdown."""
    dataset = version.tags[tags.DATASET][:SHORT]
    return f"[Report, data and provenance]({version.page}) · dataset `{dataset}`"


def _publish_decision(
    tracking: Tracking, version: Version, facts: DecisionFacts, verdicts: list[Verdict]
) -> Change:
    """Publish the decision with the version's files; return its tags and description."""
    home, client = tracking.home, tracking.client
    text = version.tags.get(tags.PERFORMANCE, "")
    published = decision_document.make_decision(
        home, facts, verdicts, bundle_folder(tracking.home, version), text
    )
    folder = open_ref(home, published.ref)
    for name in ("decision.json", "report.html"):
        client.log_model_artifact(version.logged_model, str(folder / name), "decision")
    passed_by_rule = {item.rule: item.passed for item in verdicts}
    better = bool(facts.provisional) or all(
        passed for rule, passed in passed_by_rule.items() if rule != "serves"
    )
    stamped = {
        tags.GATE: json.dumps([item.to_json() for item in verdicts], allow_nan=False),
        tags.PREVIOUS: str(facts.previous_champion or 0),
        tags.REPORT: f"{published.ref.path}/report.html",
        tags.BETTER: "yes" if better else "no",
        tags.PROVISIONAL: facts.provisional or tags.NO,
        tags.SERVES: "yes" if passed_by_rule.get("serves") else "no",
    }
    described = decision_document.markdown(facts, verdicts, text, _links(version))
    return Change(tags={version.number: stamped}, descriptions={version.number: described})
