"""The decision about a version: judged, written down, and only then carried out."""

import json
import tempfile
from pathlib import Path
from typing import Literal

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.faultpoints import fault_point
from kinemill.register import decision, tags
from kinemill.register.evidence import Evidence, Serve
from kinemill.register.gate import Challenger, Reigning, judge, make_contest
from kinemill.register.rules import Approval, Verdict
from kinemill.register.switching import ChampionChanged, Event, last_champion, record, switch
from kinemill.register.versions import (
    CHALLENGER,
    CHAMPION,
    Version,
    aliases_of,
    bundle_folder,
    copy_bundle,
    find_version,
)
from kinemill.spec import Task
from kinemill.store import Json, open_ref, read_json
from kinemill.tracking import Tracking
from kinemill.verify.analysis import plain

_ATTEMPTS = 3  # judgements, when another MLflow client moves the champion in between


def decide(tracking: Tracking, task: Task, version: Version, evidence: Evidence) -> None:
    """Judge an undecided version, write the verdict down, switch the aliases, close the case.

    Killed anywhere in between, it may be called again: a version found without a decision is judged
    anew, unless it is champion already, when what was written down before the switch stands.

    Raises:
        ChampionChanged: somebody keeps moving the champion while the version is judged.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _decide(tracking, task, version, evidence)
            return
        except ChampionChanged:
            if attempt == _ATTEMPTS:
                raise


def _decide(tracking: Tracking, task: Task, version: Version, evidence: Evidence) -> None:
    if CHAMPION in version.aliases and version.gate:
        verdicts = [Verdict(**item) for item in version.gate]
        previous = int(version.tags.get(tags.PREVIOUS, "0")) or None
        before = version.tags.get(tags.BEFORE, "{}")
        held: int | None = version.number
    else:
        verdicts, previous, before = _judge(tracking, task, version, evidence)
        held = previous
        previous = None if held == version.number else held  # somebody made it champion by hand
    facts: Json = {
        "task": task.name,
        "version": version.number,
        "decision": _conclude(verdicts),
        "previous_champion": previous,
        "key": version.tags[tags.KEY],
    }
    _write_down(tracking, version, facts, verdicts)
    tracking.client.set_model_version_tag(task.name, str(version.number), tags.BEFORE, before)
    fault_point("register.judged")
    event = Event.of(_conclude(verdicts), version.number, previous, _why(verdicts))
    if facts["decision"] == CHAMPION:
        switch(tracking, task.name, held, event)
    else:
        record(tracking, task.name, event)
    fault_point("register.switched")
    tracking.client.set_model_version_tag(
        task.name, str(version.number), tags.DECISION, facts["decision"]
    )


def _conclude(verdicts: list[Verdict]) -> Literal["champion", "waiting", "refused"]:
    failed = {item.rule for item in verdicts if not item.passed}
    if not failed and verdicts:
        return "champion"
    return "waiting" if failed == {"approval"} else "refused"


def _why(verdicts: list[Verdict]) -> str:
    failed = [
        f"{item.rule}: {decision.show_value(item.found)}" for item in verdicts if not item.passed
    ]
    return "; ".join(failed) or f"all {len(verdicts)} lines of the gate"


def _judge(
    tracking: Tracking, task: Task, version: Version, evidence: Evidence
) -> tuple[list[Verdict], int | None, str]:
    """Make the version challenger; return the gate's verdicts, and the champion and its numbers."""
    held = aliases_of(tracking, task.name).get(CHAMPION)
    tracking.client.set_registered_model_alias(task.name, CHALLENGER, str(version.number))
    folder = bundle_folder(tracking, version)
    challenger = Challenger(
        folder,
        read_json(folder / "verification.json"),
        serves(tracking, version, evidence.serve),
        approval_of(version),
    )
    contest = make_contest(task, challenger, _reigning(tracking, task.name, held), evidence)
    theirs = contest.champion.measured if contest.champion else None
    return judge(contest), held, json.dumps(plain(theirs.channels if theirs else {}))


def _reigning(tracking: Tracking, task: str, held: int | None) -> Reigning | None:
    """Return who reigns; a champion whose alias or version is gone is one that cannot be beaten."""
    number = held or last_champion(tracking, task)
    if number is None:
        return None
    try:
        found = find_version(tracking, task, f":{number}") if held else None
    except BadInput:
        found = None
    return Reigning(tracking, number, found)


def serves(tracking: Tracking, version: Version, serve: Serve) -> tuple[bool, str]:
    """Tell whether the copy that MLflow keeps loads and answers in the serving runtime."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="kinemill-copy-") as scratch:
        try:
            copy_bundle(tracking, version, Path(scratch))
            return serve(Path(scratch))
        except (MlflowException, CorruptArtifact, BadInput, OSError) as error:
            return False, f"the registered copy is not whole: {str(error).splitlines()[0]}"


def approval_of(version: Version) -> Approval | None:
    """Return a person's word on a version, if there is one."""
    given = version.tags.get(tags.APPROVED)
    return Approval(**json.loads(given)) if given else None


def _write_down(tracking: Tracking, version: Version, facts: Json, verdicts: list[Verdict]) -> None:
    """Put the verdict into the report, the version's files, its tags and its description."""
    home, client, number = tracking.home, tracking.client, str(version.number)
    papers = decision.make_decision(home, facts, verdicts, bundle_folder(tracking, version))
    folder = open_ref(home, papers.ref)
    for name in ("decision.json", "report.html"):
        client.log_model_artifact(version.logged_model, str(folder / name), "decision")
    held = {item.rule: item.passed for item in verdicts}
    better = all(passed for rule, passed in held.items() if rule != "serves")
    stamped = {f"{tags.GATE}.{item.rule}": decision.line(item) for item in verdicts}
    stamped |= {
        tags.GATE: json.dumps([item.to_json() for item in verdicts], allow_nan=False),
        tags.PREVIOUS: str(facts["previous_champion"] or 0),
        tags.REPORT: f"{papers.ref.path}/report.html",
        tags.BETTER: "yes" if better else "no",
        tags.SERVES: "yes" if held.get("serves") else "no",
    }
    for name, value in stamped.items():
        client.set_model_version_tag(version.task, number, name, value)
    client.update_model_version(version.task, number, decision.markdown(facts, verdicts))
