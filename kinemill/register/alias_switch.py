"""Decisions about versions, applied in MLflow and recorded in the audit log.

A decision is recorded, applied in MLflow, and recorded as done. If the process dies in between, the
next command reads in MLflow whether the champion moved, and records that. A champion in
MLflow that differs from the last recorded one was moved by another client. That is legitimate; the
log records it as `moved in MLflow`.

The champion moves by compare-and-set: MLflow sets an alias without a condition, so kinemill moves
it under the lock of the audit log, which machines that share a database share, and only from the
champion that the caller expects.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kinemill.errors import KinemillError
from kinemill.register import tags
from kinemill.register.audit_log import (
    CHAMPION_CHANGES,
    MOVED,
    TRIALS,
    UNKNOWN_USER,
    Event,
    append_event,
    append_status,
    last_champion,
    read_events,
)
from kinemill.register.versions import CHALLENGER, CHAMPION, aliases_of, no_version, versions_of
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.store.locks import lock, now
from kinemill.tracking import Tracking
from kinemill.tracking.database import open_registry

_GATE = {CHAMPION, "refused", "waiting"}


class ChampionChanged(KinemillError):
    """Another version became champion since the lookup; the alias was not moved."""

    exit_code = 1


@dataclass(frozen=True)
class Audit:
    """Audit log of a task.

    Attributes:
        champion: number of the champion in MLflow; None without one.
        events: oldest first.
    """

    task: str
    champion: int | None
    events: list[Event]


def audit(home: Home, task: str) -> Audit:
    """Return the audit log of a task, after recording what changed in MLflow.

    Raises:
        BadInput: The task has no version and no event.
        CorruptArtifact: The log is damaged.
        Unreachable: MLflow does not respond.
    """
    events = follow(home, task)
    if not events and not versions_of(home, task):
        raise no_version(home, task)
    return Audit(task, last_champion(events), events)


@contextmanager
def guarded(home: Home, task: str) -> Generator[None]:
    """Hold the lock for registering and evaluating versions of a task."""
    with lock(home, f"register-{task}"):
        yield


def follow(home: Home, task: str, who: str = UNKNOWN_USER) -> list[Event]:
    """Record the status of an interrupted decision and a moved champion; return all events.

    `who` is the user who moved the champion in MLflow, if known.
    """
    tracking = open_registry(home)
    if tracking is None:
        return []
    with lock(home, f"audit-{task}"):
        return _follow(tracking, task, aliases_of(home, task), who)


def apply_decision(tracking: Tracking, task: str, event: Event) -> None:
    """Record a decision, apply it in MLflow, and record its status.

    Raises:
        ChampionChanged: The event changes the champion, and `event.previous` is not champion.
    """
    home = tracking.home
    with lock(home, f"audit-{task}"):
        aliases = aliases_of(home, task)
        _follow(tracking, task, aliases)
        if event.what in CHAMPION_CHANGES and aliases.get(CHAMPION) != event.previous:
            raise changed(task, aliases.get(CHAMPION), event.previous)
        append_event(home, task, _with_files(home, task, event))
        fault_point("register.recorded")
        with tracking.errors():
            if event.what in CHAMPION_CHANGES:
                tracking.client.set_registered_model_alias(task, CHAMPION, str(event.version))
                fault_point("register.promoted")
            _complete(tracking, task, event, aliases)
        fault_point("register.applied")
        append_status(home, task, "done")


def _follow(
    tracking: Tracking, task: str, aliases: Mapping[str, int], who: str = UNKNOWN_USER
) -> list[Event]:
    """Follow MLflow, in which a task has these aliases. Call it under the lock of the log."""
    home = tracking.home
    events = read_events(home, task)
    champion = aliases.get(CHAMPION)
    if events and events[-1].status == "open":
        events[-1] = _close(tracking, task, events[-1], aliases)
    if champion != (recorded := last_champion(events)):
        why = "the alias was set in MLflow" if champion else "its alias or version was deleted"
        event = Event(now(), who, MOVED, champion, recorded, why)
        events.append(_with_files(home, task, event))
        append_event(home, task, events[-1])
    return events


def _with_files(home: Home, task: str, event: Event) -> Event:
    """Return an event with the digest of its version's files."""
    version = next((item for item in versions_of(home, task) if item.number == event.version), None)
    if version is None:
        return event
    return replace(event, source=version.source, files=version.tags.get(tags.SUMS, ""))


def _close(tracking: Tracking, task: str, event: Event, aliases: Mapping[str, int]) -> Event:
    """Record the status of a decision whose process died, as MLflow shows it."""
    is_moved = event.what not in CHAMPION_CHANGES or aliases.get(CHAMPION) == event.version
    exists = any(version.number == event.version for version in versions_of(tracking.home, task))
    closed = replace(event, status="done" if is_moved and exists else "interrupted")
    if closed.status == "done":
        with tracking.errors():
            _complete(tracking, task, event, aliases)
    append_status(tracking.home, task, closed.status)
    return closed


def _complete(tracking: Tracking, task: str, event: Event, aliases: Mapping[str, int]) -> None:
    """Apply the changes of a decision other than the champion; safe to repeat."""
    client = tracking.client
    if event.what in CHAMPION_CHANGES and aliases.get(CHALLENGER) == event.version:
        client.delete_registered_model_alias(task, CHALLENGER)
    if event.what in _GATE:
        client.set_model_version_tag(task, str(event.version), tags.DECISION, event.what)
    if event.what == TRIALS:
        counts = f"{event.successes} of {event.trials}"
        client.set_model_version_tag(task, str(event.version), tags.TRIALS, counts)


def changed(task: str, current: int | None, expected: int | None) -> ChampionChanged:
    """Return the error that names the current champion."""
    return ChampionChanged(
        task,
        f"the champion changed: it is now {name_of_version(current)}",
        expected=name_of_version(expected),
        fix=f"list the versions with kinemill model list {task}, then repeat the command",
    )


def name_of_version(number: int | None) -> str:
    """Return `version 3`, or `none` without a version."""
    return f"version {number}" if number else "none"
