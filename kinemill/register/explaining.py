"""Why a version is champion or is not: the gate's lines in words, with what to do about each."""

import inspect

from kinemill.home import Home
from kinemill.register import tags
from kinemill.register.consistency import require_registry
from kinemill.register.deciding import approval_of
from kinemill.register.rules import RULES, is_of
from kinemill.register.versions import CHAMPION, NEWEST, Version, find_version
from kinemill.store import Json

_ADVICE = "Refused:"  # in a rule's docstring; what follows says what to do


def why(home: Home, task: str, which: str = "") -> Json:
    """Return why a version is champion or is not.

    Args:
        home: where the registry lives.
        task: name of the task.
        which: `:number`, `@alias`, or "" for the newest version.

    Returns:
        task, version, aliases, decision, `told` (one sentence), `blessings` (better, serves),
        approved, `gate` (rule, passed, found, wanted, and for those that failed `fix`), report.

    Raises:
        BadInput: there is no such version.
    """
    require_registry(home, task)
    version = find_version(home, task, which or NEWEST)
    approval, report = approval_of(version), version.tags.get(tags.REPORT)
    return {
        "task": task,
        "version": version.number,
        "aliases": list(version.aliases),
        "decision": version.decision,
        "told": _told(version),
        "blessings": {
            "better": version.tags.get(tags.BETTER),
            "serves": version.tags.get(tags.SERVES),
        },
        "approved": f"by {approval.who}, {approval.at}" if approval else None,
        "gate": [
            line | ({} if line["passed"] else {"fix": advice(line["rule"])})
            for line in version.gate
        ],
        "report": str(home.inside(report, version.name)) if report else None,
    }


def advice(line: str) -> str:
    """Return what to do about a line of the gate that failed, from its rule's docstring."""
    for rule in RULES:
        if is_of(rule, line):
            _, _, told = (inspect.getdoc(RULES[rule]) or "").partition(_ADVICE)
            return " ".join(told.split())
    return ""


def _told(version: Version) -> str:
    failed = [line["rule"] for line in version.gate if not line["passed"]]
    previous = int(version.tags.get(tags.PREVIOUS, "0"))
    if version.decision is None:
        return "the gate has not judged it: its registration was interrupted, kinemill run ends it"
    if version.decision == "waiting":
        return f"waits for a person's approval: kinemill approve {version.task}:{version.number}"
    if failed:
        stays = f"version {previous} stayed champion" if previous else "there was no champion"
        return f"refused by {', '.join(failed)}; {stays}"
    lines = f"all {len(version.gate)} lines of the gate hold"
    if CHAMPION in version.aliases:
        return f"champion: {lines}"
    if version.decision == CHAMPION:
        return f"was champion: {lines}, and another version reigns since"
    return lines
