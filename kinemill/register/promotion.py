"""Manual decisions: approve a version, promote one, rollback to the previous champion.

Each looks up the champion first and moves it by compare-and-set: whoever comes second is told that
the champion changed. Whatever becomes champion has to load and answer in the serving runtime.
"""

import json
from dataclasses import asdict

from kinemill.dataset import find_version as find_dataset
from kinemill.errors import BadInput, Blocked, CorruptArtifact
from kinemill.register import tags
from kinemill.register.alias_switch import (
    CROWNED,
    Event,
    crown,
    guarded,
    last_champion,
    trail,
)
from kinemill.register.commit import commit
from kinemill.register.consistency import check_registry, open_registry
from kinemill.register.decision_service import approval_of, decide, serves
from kinemill.register.delete_guard import protect
from kinemill.register.gate import differences
from kinemill.register.ledger import Change
from kinemill.register.measurements import Measurements, serve_still
from kinemill.register.policies import evidence_of
from kinemill.register.rules import Approval
from kinemill.register.saved_task import task_of
from kinemill.register.versions import (
    CHAMPION,
    Version,
    aliases_of,
    bundle_folder,
    find_version,
)
from kinemill.runtime import load
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.store.locks import current_user, now
from kinemill.task import Task
from kinemill.tracking import Tracking

_LOOK_UP = -1  # expected champion: the one there is when the call begins


def approve(
    task: Task,
    home: Home,
    which: str,
    *,
    breaking: bool = False,
    why: str = "",
    evidence: Measurements | None = None,
) -> Json:
    """Record an approval of a version, and have the gate evaluate it again.

    The gate evaluates it with the task that it was made with, overrides included.

    Args:
        task: whose version it is.
        home: where the registry lives.
        which: `:number` or `@alias`.
        breaking: another interface than the champion's is meant to be.
        why: the reason, for the trail.
        evidence: what the gate looks at itself; default the test split of the version's dataset.

    Returns:
        task, version, decision, gate, champion.

    Raises:
        BadInput: there is no such version, or it was crowned before.
    """
    with guarded(home, task.name):
        tracking = open_registry(home, task.name)
        protect(tracking)
        version = find_version(tracking.home, task.name, which)
        if version.decision == CHAMPION:
            raise BadInput(version.name, "passed the gate before", fix="nothing is left to approve")
        earlier = approval_of(version)
        given = Approval(current_user(), now(), breaking or bool(earlier and earlier.breaking))
        number = version.number
        held = aliases_of(tracking.home, task.name).get(CHAMPION)
        reason = (f"breaking; {why}" if breaking else why).strip("; ")
        stamped = {tags.APPROVED: json.dumps(asdict(given))}
        event = Event.of("approved", number, held, reason)
        commit(tracking, task.name, Change(tags={number: stamped}), event)
        version = find_version(tracking.home, task.name, f":{number}")
        made_with = task_of(home, task, version)
        decide(tracking, made_with, version, evidence or _evidence(made_with, home, version))
        return _document(find_version(tracking.home, task.name, f":{number}"), held)


def promote(
    task: Task,
    home: Home,
    which: str,
    *,
    expected: int | None = _LOOK_UP,
    force: bool = False,
    why: str = "",
) -> Json:
    """Make a version champion that passed the gate before, or any one by force.

    Args:
        task: name and wishes.
        home: where the registry lives.
        which: `:number` or `@alias`.
        expected: the champion that is replaced; default the one there is when this begins.
        force: a version that the gate refused, too; the reason is asked for.
        why: the reason, for the trail.

    Raises:
        BadInput: there is no such version, it was refused, or no reason was given.
        Blocked: it does not load and answer.
        ChampionChanged: somebody else was faster.
    """
    tracking = open_registry(home, task.name)
    if expected == _LOOK_UP:
        expected = aliases_of(tracking.home, task.name).get(CHAMPION)
    version = find_version(tracking.home, task.name, which)
    if version.decision != CHAMPION and not force:
        refused = ", ".join(line["rule"] for line in version.gate if not line["passed"])
        found = f"the gate refused it: {refused}" if refused else "the gate has not judged it"
        fix = f"kinemill why {task.name}:{version.number}; --force --why REASON overrides the gate"
        raise BadInput(version.name, found, expected="a version that passed the gate", fix=fix)
    if force and not why:
        raise BadInput("--force", "overrides the gate", expected="the reason, as --why TEXT")
    event = Event.of("promoted", version.number, expected, f"by force: {why}" if force else why)
    return _move(task, tracking, version, event)


def rollback(
    task: Task,
    home: Home,
    *,
    to: str = "",
    expected: int | None = _LOOK_UP,
    why: str = "",
) -> Json:
    """Make the champion before this one champion again, or the one that `to` names.

    Args:
        task: name and wishes.
        home: where the registry lives.
        to: `:number`; default the champion that the present one replaced.
        expected: the champion that is replaced; default the one there is when this begins.
        why: the reason, for the trail.

    Raises:
        BadInput: there is none before it, or no such version.
        Blocked: it does not load and answer.
        ChampionChanged: somebody else was faster.
    """
    tracking = open_registry(home, task.name)
    if expected == _LOOK_UP:
        expected = aliases_of(tracking.home, task.name).get(CHAMPION)
    which = to or f":{_before(tracking, task.name, expected)}"
    version = find_version(tracking.home, task.name, which)
    if version.decision is None:
        raise BadInput(version.name, "the gate has not judged it", fix="name another: --to NUMBER")
    event = Event.of("rolled back", version.number, expected, why)
    return _move(task, tracking, version, event)


def _before(tracking: Tracking, task: str, champion: int | None) -> int:
    """Return which version reigned before the champion; the last one, if its alias is gone."""
    if champion is None:
        if (last := last_champion(tracking, task)) is not None:
            return last
        raise BadInput(task, "never had a champion", fix=f"kinemill run {task}")
    crowned = [e for e in trail(tracking, task) if e.what in CROWNED and e.version == champion]
    if crowned and crowned[-1].before:
        return crowned[-1].before
    noted = find_version(tracking.home, task, f":{champion}").tags.get(tags.PREVIOUS, "0")
    if previous := int(noted):
        return previous
    raise BadInput(
        f"models:/{task}/{champion}",
        "is the first champion: there is none before it",
        fix=f"kinemill rollback {task} --to NUMBER; kinemill models {task} lists the versions",
    )


def _move(task: Task, tracking: Tracking, version: Version, event: Event) -> Json:
    """Try the version as robots load it, then move the champion, if it is still the expected."""
    if CHAMPION in version.aliases:
        raise BadInput(version.name, "is champion already")
    answered, told = serves(tracking, version, serve_still)
    if not answered:
        raise Blocked(
            version.name,
            f"{told}; the champion stays",
            expected="a model that loads and answers",
            fix=f"kinemill models {task.name} lists others",
        )
    with guarded(tracking.home, task.name):
        check_registry(tracking.home, task.name)
        protect(tracking)
        change = crown(tracking, task.name, version.number, event.before)
        commit(tracking, task.name, change, event)
    moved = find_version(tracking.home, task.name, f":{version.number}")
    return _document(moved, event.before) | {"differs": _differs(tracking, moved, event.before)}


def _differs(tracking: Tracking, version: Version, before: int | None) -> list[str]:
    """Say in what the new champion is not the same to programs that ran the one before."""
    if before is None:
        return []
    try:
        earlier = find_version(tracking.home, version.task, f":{before}")
        old, new = (load(bundle_folder(tracking.home, one)).interface for one in (earlier, version))
    except (BadInput, CorruptArtifact) as error:
        return [f"whether the interface is the same cannot be told: {error}"]
    told = differences(old, new)
    return [
        line.replace("of the champion", f"of version {before}").replace(
            "of the challenger", f"of version {version.number}"
        )
        for line in told
    ]


def _evidence(task: Task, home: Home, version: Version) -> Measurements:
    dataset = find_dataset(home, task.name, version.tags[tags.DATASET])
    return evidence_of(task, home, dataset.ref)


def _document(version: Version, before: int | None) -> Json:
    return {
        "task": version.task,
        "version": version.number,
        "aliases": list(version.aliases),
        "decision": version.decision,
        "provisional": version.provisional,
        "champion_before": before,
        "gate": version.gate,
    }
