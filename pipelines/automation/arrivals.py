"""Arrivals: decide whether logs in the drop folder need a run, once per set of logs.

Logs that still grow are skipped. Logs that arrive during a run of the task wait for the next run,
which reads all of them. A run that failed transiently (its process was killed, a database was
locked) or before it read the logs is requested again after a pause, under a key that counts the
attempts. A permanent failure after that is retried only when logs, task file or program change.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import dagster as dg

from kinemill.store import Json, digest
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.io import LATEST, read_note
from kinemill_dagster.resources.tags import AUTOMATIC, FAULT, RUN_KEY, SOON, TASK, UNDER_WAY, WHY
from kinemill_dagster.resources.task_resource import rules_of

_FIRST_PAUSE = 300.0
_LONGEST = 86400.0  # s before the second attempt; four times as long for each further attempt
_UP_TO_DATASET = ("recordings", "episodes", "dataset")
Fate = Literal[
    "going", "ended", "passing", "lasting"
]  # of a run; the last two: transient or permanent failure


@dataclass(frozen=True)
class SensorState:
    """State of the condition between ticks.

    Attributes:
        request: digest of the last request; empty: none.
        attempt: number of the attempt, from 1.
        at: time of the request, s since the epoch.
        pending: whether the result of the run is still unknown.
        trained: number of recordings at the last full run.
    """

    request: str = ""
    attempt: int = 0
    at: float = 0.0
    pending: bool = False
    trained: int = 0

    @property
    def key(self) -> str:
        """The run key of that run, without the task."""
        return f"{self.request}-{self.attempt}"


@dataclass(frozen=True)
class Call:
    """Decision about the drop folder: a run or none, the reason, and the new state.

    A request without asset selection runs the whole pipeline.
    """

    request: dg.RunRequest | None
    why: str
    state: SensorState


@dataclass(frozen=True)
class Runs:
    """Runs of the task: result by run key, and whether any is in progress."""

    fate: Callable[[str], Fate]
    going: Callable[[], bool]


def read_state(fields: Json | None) -> SensorState:
    """Return the state from a cursor; one of an earlier version is ignored."""
    names = SensorState.__dataclass_fields__
    stored = {name: value for name, value in (fields or {}).items() if name in names}
    return SensorState(**stored)


def next_run(
    task: Task, home: Home, state: SensorState, runs: Runs, moment: float | None = None
) -> Call:
    """Decide at `moment` (s since the epoch) whether the logs in the drop folder need a run."""
    from kinemill.ingest.arrivals import watch_new_logs
    from kinemill.ingest.files import drop_folder

    now = time.time() if moment is None else moment
    arrived = watch_new_logs(task, home, drop_folder(task, home))
    if arrived.more:
        return Call(None, "still scanning new files", state)
    request = _request_id(task, arrived.ids) if arrived.ids or arrived.any_read else ""
    is_changed = _rules(request) != _rules(state.request) and (
        task.retrain.on_task_change
        or read_note(home, LATEST, task.name, "rules") == _rules(request)
    )
    if request and request != state.request and (arrived.ids or is_changed):
        if runs.going():
            return Call(None, "new logs wait for the current run to end", state)
        return _of_news(task, home, replace(state, request=request, attempt=0), now, arrived.ids)
    if state.pending:
        return _again(task, state, runs, now, unread=len(arrived.ids))
    threshold = task.retrain.after_new_recordings
    recordings = _recordings(home, task.name)
    if threshold > 1 and recordings - state.trained >= threshold and not runs.going():
        next_state = replace(
            state,
            request=f"train{recordings}-{_rules(state.request)}",
            attempt=0,
            trained=recordings,
        )
        return _ask(task, next_state, f"{recordings} recordings", now, whole=True)
    return Call(None, _nothing_new(arrived.ids), state)


def _of_news(
    task: Task, home: Home, state: SensorState, now: float, unread: frozenset[str]
) -> Call:
    """Request a run for new logs or rules, unless another run has used them."""
    if not unread and read_note(home, LATEST, task.name, "rules") == _rules(state.request):
        trained_state = replace(state, pending=False, trained=_recordings(home, task.name))
        return Call(None, "another run has used these logs", trained_state)
    why = f"{len(unread)} new logs" if unread else "the task file changed"
    return _ask(task, state, why, now, whole=task.retrain.after_new_recordings == 1)


def _nothing_new(unread: frozenset[str]) -> str:
    if not unread:
        return "no new logs"
    return (
        f"the last run ended without reading {len(unread)} logs; `kinemill data ingest` reads them"
    )


def _request_id(task: Task, ids: frozenset[str]) -> str:
    """Return the digest of a request: contents, rules and program."""
    return f"{digest(sorted(ids))[:16]}-{rules_of(task)}"


def _rules(request: str) -> str:
    return request.rpartition("-")[2]


def _again(task: Task, state: SensorState, runs: Runs, now: float, unread: int) -> Call:
    """Check how the last run ended, and request another attempt if it may succeed.

    A permanently failed run is retried only if it left logs unread. Otherwise one fault would keep
    all logs that arrived with it out of the store.
    """
    fate = runs.fate(f"{task.name}-{state.key}")
    if fate == "going":
        return Call(None, "its run is in progress", state)
    if fate == "ended" or (fate == "lasting" and not unread):
        text = "no new logs" if fate == "ended" else "the run for these logs failed permanently"
        return Call(None, text, replace(state, pending=False))
    seconds = state.at + pause(state.attempt) - now
    if seconds > 0:
        lost = f" before it had read {unread} logs" if unread else ""
        text = f"the run failed{lost}; attempt {state.attempt + 1} in {seconds / 60:.0f} min"
        return Call(None, text, state)
    whole = task.retrain.after_new_recordings == 1 or state.request.startswith("train")
    return _ask(task, state, f"attempt {state.attempt + 1}", now, whole=whole)


def pause(attempt: int) -> float:
    """Return the pause before the next attempt, s."""
    return min(_FIRST_PAUSE * 4.0 ** (attempt - 1), _LONGEST)


def _ask(task: Task, state: SensorState, why: str, now: float, *, whole: bool) -> Call:
    next_state = replace(state, attempt=state.attempt + 1, at=now, pending=True)
    selection = None if whole else [dg.AssetKey([task.name, asset]) for asset in _UP_TO_DATASET]
    request = dg.RunRequest(
        run_key=f"{task.name}-{next_state.key}",
        job_name=task.name,
        asset_selection=selection,
        tags={**AUTOMATIC, **SOON, WHY: why},
    )
    return Call(request, why, next_state)


def _recordings(home: Home, task: str) -> int:
    """Return the number of known recordings, without reading any."""
    folder = home.store / "members" / task
    if not folder.is_dir():
        return 0
    with os.scandir(folder) as entries:  # `iterdir` would create 100,000 paths
        return sum(1 for _ in entries)


def runs_of(instance: dg.DagsterInstance, task: str) -> Runs:
    """Return the runs of a task in Dagster."""

    def going() -> bool:
        filters = dg.RunsFilter(tags={TASK: task}, statuses=UNDER_WAY)
        return bool(instance.get_runs(filters, limit=1))

    def fate(key: str) -> Fate:
        runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY: key}), limit=1)
        return _fate(instance, runs[0]) if runs else "ended"  # deleted by a user

    return Runs(fate, going)


def _fate(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Fate:
    """Return how a run and its automatic or manual retries ended."""
    group = instance.get_run_group(run.run_id)
    attempts = list(group[1]) if group else [run]
    statuses = {attempt.status for attempt in attempts}
    if dg.DagsterRunStatus.SUCCESS in statuses:
        return "ended"
    if any(not attempt.is_finished or _is_retried(attempt, attempts) for attempt in attempts):
        return "going"
    if dg.DagsterRunStatus.CANCELED in statuses:
        return "ended"  # canceled by a user
    permanent = any(attempt.tags.get(FAULT) == "lasting" for attempt in attempts)
    return "lasting" if permanent else "passing"


def _is_retried(run: dg.DagsterRun, attempts: list[dg.DagsterRun]) -> bool:
    """Return whether Dagster will retry a failed run."""
    begun = any(attempt.parent_run_id == run.run_id for attempt in attempts)
    return run.tags.get("dagster/will_retry") == "true" and not begun
