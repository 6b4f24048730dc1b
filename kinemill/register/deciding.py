"""The decision about a version: judged, written down, and only then carried out."""

import json

from kinemill.register import decision, tags
from kinemill.register.gate import Evaluate, judge, make_contest
from kinemill.register.rules import Verdict
from kinemill.register.versions import (
    CHALLENGER,
    CHAMPION,
    Version,
    aliases_of,
    find_version,
)
from kinemill.spec import Task
from kinemill.store import Json, Outcome, open_ref, read_json
from kinemill.tracking import Tracking


def decide(
    tracking: Tracking, task: Task, version: Version, bundle: Outcome, evaluate: Evaluate
) -> None:
    """Judge an undecided version, write the verdict down, switch the aliases, close the case.

    Killed anywhere in between, it may be called again: a version found without a decision is judged
    anew, unless it is champion already, when what was written down before the switch stands.
    """
    if CHAMPION in version.aliases:
        verdicts = [Verdict(**item) for item in version.gate]
        previous = int(version.tags.get(tags.PREVIOUS, "0"))
    else:
        verdicts, previous = _judge(tracking, task, version, bundle, evaluate)
    passed = all(item.passed for item in verdicts)
    facts: Json = {
        "task": task.name,
        "version": version.number,
        "decision": CHAMPION if passed else "refused",
        "previous_champion": previous or None,
        "key": version.tags[tags.KEY],
    }
    _write_down(tracking, version, bundle, facts, verdicts)
    if passed:
        _crown(tracking, version)
    tracking.client.set_model_version_tag(
        task.name, str(version.number), tags.DECISION, facts["decision"]
    )


def _judge(
    tracking: Tracking, task: Task, version: Version, bundle: Outcome, evaluate: Evaluate
) -> tuple[list[Verdict], int]:
    """Make the version challenger; return the gate's verdicts and the champion's number, or 0."""
    tracking.client.set_registered_model_alias(task.name, CHALLENGER, str(version.number))
    folder = open_ref(tracking.home, bundle.ref)
    number = aliases_of(tracking, task.name).get(CHAMPION, 0)
    reigning = (tracking, find_version(tracking, task.name, f":{number}")) if number else None
    verification = read_json(folder / "verification.json")
    return judge(make_contest(task, folder, verification, reigning, evaluate)), number


def _write_down(
    tracking: Tracking, version: Version, bundle: Outcome, facts: Json, verdicts: list[Verdict]
) -> None:
    """Put the verdict into the report, the version's files, its tags and its description."""
    home, client, number = tracking.home, tracking.client, str(version.number)
    papers = decision.make_decision(home, facts, verdicts, open_ref(home, bundle.ref))
    folder = open_ref(home, papers.ref)
    for name in ("decision.json", "report.html"):
        client.log_model_artifact(version.logged_model, str(folder / name), "decision")
    stamped = {f"{tags.GATE}.{item.rule}": decision.line(item) for item in verdicts}
    stamped |= {
        tags.GATE: json.dumps([item.to_json() for item in verdicts], allow_nan=False),
        tags.PREVIOUS: str(facts["previous_champion"] or 0),
        tags.REPORT: f"{papers.ref.path}/report.html",
    }
    for name, value in stamped.items():
        client.set_model_version_tag(version.task, number, name, value)
    client.update_model_version(version.task, number, decision.markdown(facts, verdicts))


def _crown(tracking: Tracking, version: Version) -> None:
    """Make the version champion, in one call; it is challenger no more."""
    task, client = version.task, tracking.client
    client.set_registered_model_alias(task, CHAMPION, str(version.number))
    if aliases_of(tracking, task).get(CHALLENGER) == version.number:
        client.delete_registered_model_alias(task, CHALLENGER)
