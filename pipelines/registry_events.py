"""Registry events in Dagster: decisions, and champions moved in MLflow, as asset events.

The registry in MLflow changes in runs, by `kinemill model`, and by MLflow's pages and clients. No
Dagster event marks such a change, so one sensor for all tasks follows MLflow and reports each event
of the audit log on the external asset `TASK/champion`. It also ends the MLflow runs of dead
processes, which MLflow shows as running forever. The reports are materializations, as Dagster
documents for external assets: after observations it shows downstream assets as stale even when they
used the observed version.
"""

import json
from collections.abc import Iterator, Sequence

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.register.alias_switch import follow
from kinemill.register.audit_log import Event, last_champion, read_events
from kinemill.register.versions import CHAMPION as ALIAS
from kinemill.register.versions import all_aliases
from kinemill.store.home import Home
from kinemill.tracking import end_orphans
from kinemill_dagster.assets.lineage import CHAMPION
from kinemill_dagster.resources.links import task_link, version_link
from kinemill_dagster.resources.training import version_page

_INTERVAL = 30  # s
_MOST = 200  # events per tick


def registry_events(tasks: Sequence[str]) -> dg.SensorDefinition:
    """Return the sensor that reports the registry's decisions about some tasks."""

    @dg.sensor(
        name="registry_events",
        minimum_interval_seconds=_INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports decisions, and champions that were moved in MLflow, on the champion "
        "assets, and ends the MLflow runs of dead processes.",
    )
    def report(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        home = Home.resolve()
        reported = json.loads(context.cursor or "{}")
        events = list[dg.AssetMaterialization]()
        try:
            if home.has_registry and (ended := end_orphans(home)):
                context.log.info(f"ended in MLflow: {', '.join(ended)}")
            aliases = all_aliases(home)
        except KinemillError as error:
            return dg.SkipReason(str(error))
        for task in tasks:
            if len(events) >= _MOST:
                break  # the next tick continues
            try:
                champion = aliases.get(task, {}).get(ALIAS)
                events += new_events(home, task, champion, reported)
            except KinemillError as error:  # a damaged audit log does not hide the others
                context.log.warning(f"{task}: {error}")
        if not events:
            return dg.SkipReason("no new decision in the registry")
        return dg.SensorResult(asset_events=events, cursor=json.dumps(reported))

    return report


def new_events(
    home: Home, task: str, champion: int | None, reported: dict[str, int]
) -> Iterator[dg.AssetMaterialization]:
    """Yield the closed events of a task after the last reported one, and note the last one.

    `champion` is the champion in MLflow; `reported` holds the number of reported events by task.

    Raises:
        CorruptArtifact: The audit log is damaged.
        Unreachable: MLflow does not respond.
    """
    events = read_events(home, task)
    if champion != last_champion(events) or (events and events[-1].status == "open"):
        events = follow(home, task)
    first = reported.get(task, 0)
    for number, event in enumerate(events[first:], start=first + 1):
        if event.status == "open":
            return  # it is being applied right now
        reported[task] = number
        yield _event(home, task, event, last_champion(events[:number]))


def _event(home: Home, task: str, event: Event, champion: int | None) -> dg.AssetMaterialization:
    of_version = {} if event.version is None else {"version": event.version}
    return dg.AssetMaterialization(
        dg.AssetKey([task, CHAMPION]),
        description=f"{event.label}: version {event.version or 'none'}",
        metadata={
            "event": event.label,
            "champion": champion or 0,
            "user": event.who,
            "reason": event.why,
            "time": event.at,
            **of_version,
            **_links(home, task, event.version),
        },
        # A refusal leaves the champion, and what depends on it stays fresh.
        tags={"dagster/data_version": str(champion)},
    )


def _links(home: Home, task: str, version: int | None) -> dict[str, dg.MetadataValue]:
    links = {"history": task_link(home, task)}
    if version is not None:
        links["page"] = version_link(home, task, version)
        links["registry"] = version_page(home, task, version)
    return {name: link for name, link in links.items() if link}
