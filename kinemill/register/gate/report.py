"""Explanation of a decision: the gate's verdicts with a fix for each failed one."""

import inspect
from collections.abc import Sequence

from kinemill.errors import CorruptArtifact
from kinemill.register import tags
from kinemill.register.alias_switch import follow
from kinemill.register.audit_log import MOVED, Event
from kinemill.register.gate.evaluation import approval_of
from kinemill.register.gate.headline import headline_of
from kinemill.register.gate.refusal_causes import is_diverged, ranked
from kinemill.register.gate.rules import RULES
from kinemill.register.robot_trials import trials_of
from kinemill.register.verdict import Verdict, is_of
from kinemill.register.versions import NEWEST, Version, find_version
from kinemill.store import MANIFEST, Home, Json, read_document, read_json, to_json_value
from kinemill.task.portfolio import SELECTION, Selection, portfolio_results, untested_text

_DIVERGED = (
    "predictions diverge: train with a longer learn.horizon or a smaller model; the report shows "
    "the first step that diverges. The lines that follow from it need no separate fix"
)
_ADVICE = "Refused:"  # precedes the fix in the docstring of a rule


def why(home: Home, task: str, which: str = "") -> Json:
    """Explain why a version is or is not champion.

    `which` is `:number` or `@alias`; empty: the newest version.

    Returns:
        task, version, aliases, decision, `provisional` (why, or ""), `headline`,
        `explanation` (what other programs did, or ""), `causes` (rule, value, expected, fix,
        `follows`; root causes first), `trials` (counted trials on a robot, or None), approved,
        `gate` (rule, passed, value, expected, and `fix` for failed ones), `selected` (the candidate
        that the run selected, and why), `candidates` (their results, the best first), `untested`
        (those for which the budget did not suffice, or ""), report.

    Raises:
        BadInput: The version does not exist.
    """
    version = find_version(home, task, which or NEWEST)
    events = follow(home, task)
    approval = approval_of(version, events)
    report = version.tags.get(tags.REPORT)
    selection = _selection(home, version)
    results = selection.candidates
    return {
        "task": task,
        "version": version.number,
        "aliases": list(version.aliases),
        "decision": version.decision,
        "provisional": version.provisional,
        "headline": headline_of(version).text,
        "explanation": _explanation(version, events),
        "causes": causes(version.gate),
        "trials": to_json_value(trials_of(version.number, events)),
        "approved": f"by {approval.who}, {approval.at}" if approval else None,
        "gate": [
            vars(line) | ({} if line.passed else {"fix": advice(line.rule)})
            for line in version.gate
        ],
        "selected": selection.text if selection.why else "",
        "candidates": [to_json_value(result) for result in results if not result.failure],
        "untested": untested_text(results),
        "report": str(home.inside(report, version.name)) if report else None,
    }


def causes(gate: Sequence[Verdict]) -> list[Json]:
    """Return the failed lines with a fix for each, root causes first.

    A line that follows from another names that line and has no fix.
    """
    diverged = is_diverged(gate)
    documents: list[Json] = []
    for index, cause in enumerate(ranked(gate)):
        fix = _DIVERGED if diverged and index == 0 else advice(cause.rule)
        line = {"rule": cause.rule, "value": cause.line.value, "expected": cause.line.expected}
        documents.append(line | {"fix": None if cause.follows else fix, "follows": cause.follows})
    return documents


def _selection(home: Home, version: Version) -> Selection:
    """Return the candidates of the run that made a version; none if garbage collection took them.

    A model whose family is set is compared with the references as well.
    """
    trained = version.tags.get(tags.TRAINED) or version.tags.get(tags.MODEL)
    for manifest in (home.store / "selection" / version.task).glob(f"*/{MANIFEST}"):
        path = manifest.with_name(SELECTION)
        if path.is_file() and read_json(manifest)["inputs"].get("trained") == trained:
            return read_document(path, Selection)
    folder = version.tags.get(tags.MODEL_FOLDER)
    try:
        results = portfolio_results(home.in_store(folder, version.name)) if folder else []
    except CorruptArtifact:  # commands that use the version report it
        results = []
    return Selection("", "", results)


def advice(line: str) -> str:
    """Return the fix for a failed line, from the docstring of its rule."""
    for rule in RULES:
        if is_of(rule, line):
            _, _, text = (inspect.getdoc(RULES[rule]) or "").partition(_ADVICE)
            return " ".join(text.split())
    return ""


def _explanation(version: Version, events: Sequence[Event]) -> str:
    """Return who registered a version or changed the champion in MLflow; "" if it was kinemill."""
    if tags.KEY not in version.tags:
        return "was not registered by kinemill, so the gate has not evaluated it"
    changes = [event for event in events if event.what == MOVED]
    last = next((e for e in reversed(changes) if version.number in (e.version, e.previous)), None)
    if last is None:
        return ""
    what = "made champion" if last.version == version.number else "replaced as champion"
    return f"{what} in MLflow by user {last.who}, noticed {last.at}"
