"""Canary release: a version for a share of the robots before all, chosen by their names.

It is set at the registry, so it grows and ends without a hand on any robot: those that pull
`TASK@canary` get its version if they are in the share, else the champion. A robot's name and the
version decide, so a robot stays where it is while the share grows, and another version begins with
others. Without a canary all of them get the champion.
"""

import json
from dataclasses import asdict

from kinemill.errors import BadInput, Blocked
from kinemill.register import tags
from kinemill.register.alias_switch import Event, What, guarded, notes_of
from kinemill.register.commit import commit
from kinemill.register.consistency import check_registry, open_registry
from kinemill.register.decision_service import serves
from kinemill.register.ledger import Change
from kinemill.register.measurements import serve_still
from kinemill.register.versions import CHAMPION, aliases_of, find_version
from kinemill.runtime.canary import Canary, canary_in
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.tracking import Tracking

_TRUSTED = (CHAMPION, "waiting")  # what the gate said of a version that robots may run


def start_canary(
    task: str, home: Home, which: str, share: float, *, force: bool = False, why: str = ""
) -> Json:
    """Give a version to a share of the robots; a version that is there already grows or shrinks.

    Args:
        task: whose.
        home: where the registry lives.
        which: `:number` or `@alias`.
        share: of the robots, above 0, at most 1.
        force: a version that the gate refused, too; the reason is asked for.
        why: the reason, for the trail.

    Raises:
        BadInput: no such version, one that was refused, or no share.
        Blocked: it does not load and answer.
    """
    if not 0.0 < share <= 1.0:
        raise BadInput("--share", f"is {share:g}", expected="above 0, at most 1")
    tracking = open_registry(home, task)
    version = find_version(tracking.home, task, which)
    if CHAMPION in version.aliases:
        raise BadInput(version.name, "is champion: every robot has it")
    if version.decision not in _TRUSTED and not (force and why):
        fix = f"kinemill why {task}:{version.number}; --force --why REASON overrides the gate"
        raise BadInput(version.name, "has not passed the gate", fix=fix)
    answered, told = serves(tracking, version, serve_still)
    if not answered:
        raise Blocked(version.name, told, expected="a model that loads and answers")
    reason = f"{share:.0%} of the robots" + (", by force" if force else "") + (why and f": {why}")
    with guarded(home, task):
        check_registry(home, task)
        chosen = json.dumps(asdict(Canary(version.number, share)))
        _commit(tracking, task, chosen, _event(tracking, task, "canary", version.number, reason))
    return _document(task, tracking)


def end_canary(task: str, home: Home, *, why: str = "") -> Json:
    """Give the champion to all robots again.

    Raises:
        BadInput: there is no canary.
    """
    with guarded(home, task):
        tracking = open_registry(home, task)
        found = canary_in(notes_of(tracking.home, task))
        if found is None:
            raise BadInput(task, "has no canary", fix=f"kinemill canary {task} --share 0.1")
        _commit(tracking, task, None, _event(tracking, task, "canary ended", found.version, why))
    return _document(task, tracking)


def look_at_canary(task: str, home: Home) -> Json:
    """Return the canary of a task: version and share, or null for both, and the champion."""
    return _document(task, open_registry(home, task))


def _event(tracking: Tracking, task: str, what: What, version: int, why: str) -> Event:
    return Event.of(what, version, aliases_of(tracking.home, task).get(CHAMPION), why)


def _commit(tracking: Tracking, task: str, chosen: str | None, event: Event) -> None:
    commit(tracking, task, Change(notes={tags.CANARY: chosen}), event)


def _document(task: str, tracking: Tracking) -> Json:
    found = canary_in(notes_of(tracking.home, task))
    return {
        "task": task,
        "version": found.version if found else None,
        "share": found.share if found else None,
        "champion": aliases_of(tracking.home, task).get(CHAMPION),
    }
