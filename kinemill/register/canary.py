"""Canary release: a version that only a share of the robots gets, selected by robot name.

The registry stores the canary, so no robot needs a new configuration: robots that pull
`TASK@canary` get its version if they are in the share, else the champion. A hash of robot name and
version selects the robots. A robot keeps its version while the share grows, and another version
selects other robots. Without a canary all robots get the champion.
"""

import json
from dataclasses import asdict

from kinemill.errors import BadInput, Blocked
from kinemill.register import tags
from kinemill.register.alias_switch import Event, What, guarded, notes_of
from kinemill.register.commit import commit
from kinemill.register.consistency import check_registry, open_registry
from kinemill.register.decision_service import serves
from kinemill.register.gate.smoke_test import serve_zero_window
from kinemill.register.ledger import Change
from kinemill.register.versions import CHAMPION, aliases_of, find_version
from kinemill.runtime.canary import Canary, canary_in
from kinemill.store import Home, Json
from kinemill.tracking import Tracking

_TRUSTED = (CHAMPION, "waiting")  # gate decisions after which robots may run a version


def start_canary(
    task: str, home: Home, which: str, share: float, *, force: bool = False, why: str = ""
) -> Json:
    """Start a canary, or change the share of the current one.

    Args:
        task: name of the task.
        home: home with the registry.
        which: `:number` or `@alias`.
        share: share of the robots, above 0, at most 1.
        force: allow a version that the gate refused; needs `why`.
        why: reason for the audit trail.

    Raises:
        BadInput: The version does not exist or was refused, or the share is out of range.
        Blocked: The version does not load or predict.
    """
    if not 0.0 < share <= 1.0:
        raise BadInput("--share", f"is {share:g}", expected="above 0, at most 1")
    tracking = open_registry(home, task)
    version = find_version(tracking.home, task, which)
    if CHAMPION in version.aliases:
        raise BadInput(version.name, "is champion: every robot loads it")
    if version.decision not in _TRUSTED and not (force and why):
        fix = f"kinemill model why {task}:{version.number}; --force --why REASON overrides the gate"
        raise BadInput(version.name, "has not passed the gate", fix=fix)
    is_served, text = serves(tracking, version, serve_zero_window)
    if not is_served:
        raise Blocked(version.name, text, expected="a model that loads and predicts")
    reason = f"{share:.0%} of the robots" + (", by force" if force else "") + (why and f": {why}")
    with guarded(home, task):
        check_registry(home, task)
        value = json.dumps(asdict(Canary(version.number, share)))
        _commit(tracking, task, value, _event(tracking, task, "canary", version.number, reason))
    return _document(task, tracking)


def end_canary(task: str, home: Home, *, why: str = "") -> Json:
    """End the canary: all robots get the champion.

    Raises:
        BadInput: The task has no canary.
    """
    with guarded(home, task):
        tracking = open_registry(home, task)
        canary = canary_in(notes_of(tracking.home, task))
        if canary is None:
            raise BadInput(task, "has no canary", fix=f"kinemill model canary {task} --share 0.1")
        _commit(tracking, task, None, _event(tracking, task, "canary ended", canary.version, why))
    return _document(task, tracking)


def show_canary(task: str, home: Home) -> Json:
    """Return the canary of a task: version and share, or null for both, and the champion."""
    return _document(task, open_registry(home, task))


def _event(tracking: Tracking, task: str, what: What, version: int, why: str) -> Event:
    return Event.of(what, version, aliases_of(tracking.home, task).get(CHAMPION), why)


def _commit(tracking: Tracking, task: str, canary: str | None, event: Event) -> None:
    commit(tracking, task, Change(notes={tags.CANARY: canary}), event)


def _document(task: str, tracking: Tracking) -> Json:
    canary = canary_in(notes_of(tracking.home, task))
    return {
        "task": task,
        "version": canary.version if canary else None,
        "share": canary.share if canary else None,
        "champion": aliases_of(tracking.home, task).get(CHAMPION),
    }
