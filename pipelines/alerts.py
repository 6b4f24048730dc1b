"""Alert sensor: detects events that users subscribed to, outside of the runs."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.register.audit_log import MOVED, What, read_events
from kinemill.register.decision import Decision
from kinemill.register.gate.decision_document import show_value
from kinemill.register.gate.headline import failed_causes
from kinemill.store import MANIFEST, SUMMARY, digest, read_document
from kinemill.store.disk_space import shortage
from kinemill.store.home import Home
from kinemill.store.locks import spell_time
from kinemill.tracking.memory_warning import read_warning
from kinemill.tracking.run_links import noted_training
from kinemill.verify.headline import causes
from kinemill_dagster.pipelines.run_errors import errors_of
from kinemill_dagster.resources import alerts
from kinemill_dagster.resources.alert_delivery import deliver
from kinemill_dagster.resources.alerts import Alert
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.links import address_of
from kinemill_dagster.resources.tags import OWNER, RETRIED_BY, title_of

_INTERVAL = 30  # s
_LISTED = 5  # listed names, or lines of a gate
_WILL_RETRY = "dagster/will_retry"
_PATIENCE = 120.0  # s for the daemon to retry a failed run
_LATELY = 2.0  # days; older failures are not reported
_MOST = 100  # failed runs per tick
_URL = "http://127.0.0.1:3000"


def _pages(home: Home) -> str:
    """Return the URL of Dagster's pages, if known."""
    return os.environ.get("KINEMILL_URL") or address_of("Dagster", home) or _URL


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends alerts: failures, decisions, quarantine, drift, stalls, disk, memory.",
)
def outcome_alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Check the results of the last runs, and send due alerts."""
    home = Home.resolve()
    try:
        settings = alerts.settings(home)
    except KinemillError as error:
        return dg.SkipReason(str(error))
    if settings is None:
        return dg.SkipReason("no alerts.yaml: there are no subscribers")
    alerts.begin(home)
    new, pages = list[Alert](), _pages(home)
    for source in _sources(home, settings, context.instance):
        try:
            new += [alert for alert in source if alerts.queue(home, alert, pages)]
        except KinemillError as error:  # a damaged document must not block other alerts
            context.log.warning(str(error))
    deliver(home)
    return dg.SkipReason("; ".join(alert.title for alert in new) or "no new events")


def _sources(
    home: Home, settings: alerts.Alerts, instance: dg.DagsterInstance
) -> Iterator[Iterator[Alert]]:
    yield failures(instance)
    yield stalls(instance, settings.stalled_after)
    yield disk(home)
    yield memory(home, instance)
    for task in sorted(path.name for path in (home.dagster / "refs" / "latest").glob("*")):
        yield refusals(home, task)
        yield decisions(home, task)
        yield quarantines(home, task, settings.quarantine_share)
        yield drifts(home, task)


def failures(instance: dg.DagsterInstance) -> Iterator[Alert]:
    """Yield the runs that failed recently and were not retried.

    A run-failure sensor does not get runs that were started in a terminal, and is called before it
    is known whether a run is retried: Dagster announces a retry even if no daemon can start it.
    """
    lately = datetime.now(UTC) - timedelta(days=_LATELY)
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=lately)
    for record in instance.get_run_records(filters, limit=_MOST):
        run = record.dagster_run
        ended = record.end_time or record.update_timestamp.timestamp()
        waits = run.tags.get(_WILL_RETRY) == "true" and time.time() - ended < _PATIENCE
        if RETRIED_BY in run.tags or waits:
            continue
        task = title_of(run)
        yield Alert(
            "failure",
            f"{task} failed",
            partial(_errors_of, instance, run.run_id),
            run.run_id,
            ended,
            task,
            run.tags.get(OWNER, ""),
            run.run_id,
        )


def _errors_of(instance: dg.DagsterInstance, run: str) -> str:
    return "\n".join(errors_of(instance, run)) or "no error was recorded"


def refusals(home: Home, task: str) -> Iterator[Alert]:
    """Yield the decision about the newest version, if it was refused or waits for approval."""
    ref = latest(home, task, "registered_model")
    decided = home.root / ref.path / "decision.json" if ref else None
    if ref is None or decided is None or not decided.is_file():
        return
    decision = read_document(decided, Decision)
    version = f"{task}:{decision.version}"
    event = (version, _made(home, ref.path), task)
    if decision.decision == "waiting":
        body = (
            f"it passed all other rules: look at it (kinemill model show {version}), "
            f"then kinemill model approve {version}"
        )
        title = f"{task} version {decision.version} waits for approval"
        yield Alert("waiting", title, body, *event)
    if decision.decision != "refused":
        return
    lines = [
        f"{line.rule}: {show_value(line.value)}, expected {show_value(line.expected)}"
        for line in decision.gate
        if not line.passed
    ]
    lines.insert(0, causes(failed_causes(decision.gate)))
    previous = decision.previous_champion
    stays = f"version {previous} stays champion" if previous else "there is no champion"
    title = f"{task} version {decision.version} is refused"
    yield Alert("refused", title, "\n".join([*lines[:_LISTED], stays]), *event)


_KIND_OF_DECISION: dict[What, alerts.Kind] = {
    "champion": "promoted",
    "promoted": "promoted",
    "rolled back": "rolled_back",
    MOVED: "moved",
}


def decisions(home: Home, task: str) -> Iterator[Alert]:
    """Yield the recent changes of the champion, oldest first."""
    folder = home.audit_logs / task
    if not folder.is_dir() or time.time() - folder.stat().st_mtime > _LATELY * 86400.0:
        return
    for decision in read_events(home, task):
        kind = _KIND_OF_DECISION.get(decision.what)
        if kind is None or decision.status != "done":
            continue
        at = datetime.fromisoformat(decision.at).timestamp()
        replaced = (
            f"the champion before was version {decision.previous}" if decision.previous else ""
        )
        body = "\n".join(filter(None, (f"by {decision.who}: {decision.why}", replaced)))
        what = f"version {decision.version}" if decision.version else "champion removed"
        title = f"{task} {what}: {decision.what}"
        key = f"{task}:{decision.at}:{decision.what}:{decision.version}"
        yield Alert(kind, title, body, key, at, task)


def quarantines(home: Home, task: str, share: float) -> Iterator[Alert]:
    """Yield the quarantined recordings, if their share exceeds the limit."""
    from kinemill.validate.summary import EpisodesSummary

    ref = latest(home, task, "episodes")
    if ref is None or not (home.root / ref.path / SUMMARY).is_file():
        return
    summary = EpisodesSummary.read(home, ref)
    quarantined = summary.quarantined
    total = summary.recordings
    if not total or quarantined <= share * total:
        return
    names = summary.failing
    key = digest([task, quarantined, names])  # one alert per new set of recordings
    body = f"{', '.join(names[:_LISTED])}{' and more' if quarantined > _LISTED else ''}"
    fix = f"kinemill data quarantine list {task} shows the reasons and releases recordings"
    title = f"{quarantined} of {total} recordings of {task} are in quarantine"
    yield Alert("quarantine", title, f"{body}\n{fix}", key, _made(home, ref.path), task)


def drifts(home: Home, task: str) -> Iterator[Alert]:
    """Yield the recordings that drift from the champion, if any do."""
    from kinemill.validate.drift import latest_drift

    drift = latest_drift(home, task)
    if drift is None or drift.champion is None or not drift.drifting:
        return
    drifting = drift.drifting
    champion = drift.champion
    body = "\n".join(f"{item.name}: {item.message}" for item in drifting[:_LISTED])
    key = digest([task, champion, sorted(item.recording for item in drifting)])
    title = f"{len(drifting)} recordings of {task} drift from champion version {champion}"
    at = (home.store / "drift" / f"{task}.json").stat().st_mtime
    yield Alert("drift", title, body, key, at, task)


def stalls(instance: dg.DagsterInstance, after: float) -> Iterator[Alert]:
    """Yield the runs under way without an event for `after` s."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        records = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
        if not records:
            continue
        last_event = records[0].timestamp
        if time.time() - last_event > after:
            when = spell_time(last_event)
            body = f"run {run.run_id} has no event since {when}; cancel it on its page"
            yield Alert(
                "stalled",
                f"{title_of(run)} has stalled",
                body,
                f"{run.run_id}:{records[0].storage_id}",
                task=title_of(run),
                owner=run.tags.get(OWNER, ""),
                run=run.run_id,
            )


def disk(home: Home) -> Iterator[Alert]:
    """Yield an alert if the disk is nearly full, at most once a day."""
    if why := shortage(home.root):
        title = f"the disk of {home.root.name} is nearly full"
        yield Alert("disk", title, why, f"{datetime.now(UTC):%Y-%m-%d}")


def memory(home: Home, instance: dg.DagsterInstance) -> Iterator[Alert]:
    """Yield the trainings whose memory is nearly used up, while they run and if they failed."""
    lately = datetime.now(UTC) - timedelta(days=_LATELY)
    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE]
    filters = dg.RunsFilter(statuses=statuses, updated_after=lately)
    for run in instance.get_runs(filters, limit=_MOST):
        link = noted_training(home, run.run_id)
        warning = read_warning(home.root / link.folder) if link else None
        if link is None or warning is None:
            continue
        task = title_of(run)
        key = f"{link.folder}:{warning.at}"
        title = f"the memory of {task} is nearly used up"
        owner = run.tags.get(OWNER, "")
        yield Alert("memory", title, warning.text, key, warning.at, task, owner, run.run_id)


def _made(home: Home, path: str) -> float | None:
    """Return when an artifact was published, s since the epoch; None if it was deleted."""
    manifest = home.root / Path(path) / MANIFEST
    return manifest.stat().st_mtime if manifest.is_file() else None
