"""Log sensor: start the pipeline when logs arrive, once per set of logs, with useful retries.

Logs that still grow are skipped. Logs that arrive during a run of the task wait for the next run,
which reads all of them. A run that failed transiently (its process was killed, a database was
locked) or before it read the logs is requested again after a pause, under a key that counts the
attempts. A permanent failure after that is retried only when logs, task file or program change.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.store import digest
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from resources.io import LATEST, read_note
from resources.tags import AUTOMATIC, FAULT, RUN_KEY, SOON
from resources.task_resource import rules_of

_EVERY = 5  # s, the minimum of Dagster's sensor loop
_FIRST_PAUSE, _LONGEST = (
    300.0,
    86400.0,
)  # s before the second attempt; four times as long for each further attempt
_UP_TO_DATASET = ("recordings", "episodes", "dataset")
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
Fate = Literal[
    "going", "ended", "passing", "lasting"
]  # of a run; the last two: transient or permanent failure


@dataclass(frozen=True)
class Seen:
    """State of the sensor between ticks.

    Attributes:
        asked: digest of the last request; empty: none.
        attempt: number of the attempt, from 1.
        at: time of the request, s since the epoch.
        pending: whether the result of the run is still unknown.
        trained: number of recordings at the last full run.
    """

    asked: str = ""
    attempt: int = 0
    at: float = 0.0
    pending: bool = False
    trained: int = 0

    @property
    def key(self) -> str:
        """The run key of that run, without the task."""
        return f"{self.asked}-{self.attempt}"


@dataclass(frozen=True)
class Call:
    """Decision of the sensor: a run or none, the reason, and the new state."""

    request: dg.RunRequest | None
    why: str
    seen: Seen


@dataclass(frozen=True)
class Runs:
    """Runs of the task: result by run key, and whether any is in progress."""

    fate: Callable[[str], Fate]
    going: Callable[[], bool]


def arrivals(task: Task) -> dg.SensorDefinition:
    """Return the sensor that runs the pipeline of `task` once per new set of logs.

    With `retrain.after_new_recordings` above 1, new logs are processed up to the dataset at once,
    and the other stages run when there are enough new recordings.
    """

    @dg.sensor(
        name=f"{task.name}_arrivals",
        job_name=task.name,
        minimum_interval_seconds=_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Runs the pipeline when logs arrive in the drop folder of {task.name}.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            now = load_task(task.path or task.name)
        except KinemillError as error:
            return dg.SkipReason(str(error))
        seen, runs = remembered(context.cursor), runs_of(context.instance, task.name)
        call = next_run(now, Home.resolve(), seen, runs)
        requests = [call.request] if call.request else []
        if call.seen == seen and not requests:
            return dg.SkipReason(call.why)
        cursor = json.dumps(asdict(call.seen))
        skip = None if requests else dg.SkipReason(call.why)
        return dg.SensorResult(run_requests=requests, skip_reason=skip, cursor=cursor)

    return watch


def remembered(cursor: str | None) -> Seen:
    """Read a cursor; one of an earlier version is ignored."""
    found: dict[str, Any] = json.loads(cursor or "{}")
    known = Seen.__dataclass_fields__
    return Seen(**{name: value for name, value in found.items() if name in known})


def next_run(task: Task, home: Home, seen: Seen, runs: Runs, moment: float | None = None) -> Call:
    """Decide at `moment` (s since the epoch) whether the logs in the drop folder need a run."""
    from kinemill.ingest.arrivals import news
    from kinemill.ingest.files import drop_folder

    now = time.time() if moment is None else moment
    found = news(task, home, drop_folder(task, home))
    if found.more:
        return Call(None, "still scanning new files", seen)
    asked = _asked(task, found.ids) if found.ids or found.known else ""
    if asked and asked != seen.asked and (found.ids or _rules(asked) != _rules(seen.asked)):
        if runs.going():
            return Call(None, "new logs wait for the current run to end", seen)
        return _of_news(task, home, replace(seen, asked=asked, attempt=0), now, found.ids)
    if seen.pending:
        return _again(task, seen, runs, now, unread=len(found.ids))
    threshold, recordings = task.retrain.after_new_recordings, _recordings(home, task.name)
    if threshold > 1 and recordings - seen.trained >= threshold and not runs.going():
        wanted = replace(
            seen, asked=f"train{recordings}-{_rules(seen.asked)}", attempt=0, trained=recordings
        )
        return _ask(task, wanted, f"{recordings} recordings", now, whole=True)
    return Call(None, _nothing_new(found.ids), seen)


def _of_news(task: Task, home: Home, wanted: Seen, now: float, unread: frozenset[str]) -> Call:
    """Request a run for new logs or rules, unless another run has used them."""
    if not unread and read_note(home, LATEST, task.name, "rules") == _rules(wanted.asked):
        known = replace(wanted, pending=False, trained=_recordings(home, task.name))
        return Call(None, "another run has used these logs", known)
    why = f"{len(unread)} new logs" if unread else "the task file changed"
    return _ask(task, wanted, why, now, whole=task.retrain.after_new_recordings == 1)


def _nothing_new(unread: frozenset[str]) -> str:
    if not unread:
        return "no new logs"
    return (
        f"the last run ended without reading {len(unread)} logs; `kinemill data ingest` reads them"
    )


def _asked(task: Task, ids: frozenset[str]) -> str:
    """Return the digest of a request: contents, rules and program."""
    return f"{digest(sorted(ids))[:16]}-{rules_of(task)}"


def _rules(asked: str) -> str:
    return asked.rpartition("-")[2]


def _again(task: Task, seen: Seen, runs: Runs, now: float, unread: int) -> Call:
    """Check how the last run ended, and request another attempt if it may succeed.

    A permanently failed run is retried only if it left logs unread. Otherwise one fault would keep
    all logs that arrived with it out of the store.
    """
    fate = runs.fate(f"{task.name}-{seen.key}")
    if fate == "going":
        return Call(None, "its run is in progress", seen)
    if fate == "ended" or (fate == "lasting" and not unread):
        text = "no new logs" if fate == "ended" else "the run for these logs failed permanently"
        return Call(None, text, replace(seen, pending=False))
    left = seen.at + pause(seen.attempt) - now
    if left > 0:
        lost = f" before it had read {unread} logs" if unread else ""
        text = f"the run failed{lost}; attempt {seen.attempt + 1} in {left / 60:.0f} min"
        return Call(None, text, seen)
    whole = task.retrain.after_new_recordings == 1 or seen.asked.startswith("train")
    return _ask(task, seen, f"attempt {seen.attempt + 1}", now, whole=whole)


def pause(attempt: int) -> float:
    """Return the pause before the next attempt, s."""
    return min(_FIRST_PAUSE * 4.0 ** (attempt - 1), _LONGEST)


def _ask(task: Task, wanted: Seen, why: str, now: float, *, whole: bool) -> Call:
    seen = replace(wanted, attempt=wanted.attempt + 1, at=now, pending=True)
    selection = None if whole else [dg.AssetKey([task.name, asset]) for asset in _UP_TO_DATASET]
    request = dg.RunRequest(
        run_key=f"{task.name}-{seen.key}", asset_selection=selection, tags={**AUTOMATIC, **SOON}
    )
    return Call(request, why, seen)


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
        filters = dg.RunsFilter(job_name=task, statuses=UNDER_WAY)
        return bool(instance.get_runs(filters, limit=1))

    def fate(key: str) -> Fate:
        found = instance.get_runs(dg.RunsFilter(tags={RUN_KEY: key}), limit=1)
        return _fate(instance, found[0]) if found else "ended"  # deleted by a user

    return Runs(fate, going)


def _fate(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Fate:
    """Return how a run and its automatic or manual retries ended."""
    group = instance.get_run_group(run.run_id)
    attempts = list(group[1]) if group else [run]
    statuses = {one.status for one in attempts}
    if dg.DagsterRunStatus.SUCCESS in statuses:
        return "ended"
    if any(not one.is_finished or _is_retried(one, attempts) for one in attempts):
        return "going"
    if dg.DagsterRunStatus.CANCELED in statuses:
        return "ended"  # canceled by a user
    permanent = any(one.tags.get(FAULT) == "lasting" for one in attempts)
    return "lasting" if permanent else "passing"


def _is_retried(run: dg.DagsterRun, attempts: list[dg.DagsterRun]) -> bool:
    """Return whether Dagster will retry a failed run."""
    begun = any(one.parent_run_id == run.run_id for one in attempts)
    return run.tags.get("dagster/will_retry") == "true" and not begun
