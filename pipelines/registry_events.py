"""Registry events in Dagster: promotions and rollbacks as asset events.

The registry's ledger is the source of truth; it changes in runs, by `kinemill model`, and by
MLflow's pages. No Dagster event marks such a change, so one sensor for all tasks reads the ledgers
and reports each entry of the audit trail on the external asset `TASK/champion`. The reports are
materializations, as Dagster documents for external assets: after observations it shows downstream
assets as stale even when they used the observed version.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.register import tags
from kinemill.register.alias_switch import Event
from kinemill.register.ledger import Ledger, changes, has_file, ledger_folder
from kinemill.register.versions import CHAMPION as ALIAS
from kinemill.store.home import Home
from kinemill_dagster.assets.lineage import CHAMPION
from kinemill_dagster.pipelines.webhook_sender import Message, is_recent, messages_of, send
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
        description="Reports the registry's decisions on the champion assets and to webhooks.",
    )
    def report(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        home, reported = Home.resolve(), json.loads(context.cursor or "{}")
        events = NewEvents()
        for task in tasks:
            if len(events.assets) >= _MOST:
                break  # the next tick continues
            try:
                new_events(home, task, reported, events)
            except KinemillError as error:  # a damaged ledger does not hide the others
                context.log.warning(f"{task}: {error}")
        send(home, events.messages)
        if reported == json.loads(context.cursor or "{}"):
            return dg.SkipReason("no new decision in the registry")
        return dg.SensorResult(asset_events=events.assets, cursor=json.dumps(reported))

    return report


@dataclass
class NewEvents:
    """Result of a sensor tick: events of the champion assets, and messages to webhooks."""

    assets: list[dg.AssetMaterialization] = field(default_factory=list[dg.AssetMaterialization])
    messages: list[Message] = field(default_factory=list[Message])


def new_events(home: Home, task: str, reported: dict[str, int], events: NewEvents) -> None:
    """Add events of a task after the last reported record, and store the last one.

    `reported` is updated; the events are unchanged if the ledger is damaged.

    Raises:
        CorruptArtifact: A record of the ledger is damaged or missing.
    """
    first, folder = reported.get(task, 0), ledger_folder(home, task)
    if not has_file(home, folder / f"{first + 1:06d}.json"):
        return  # looked up in the object store as well, where machines share the registry
    ledger, added = Ledger(task), NewEvents()
    for change in changes(home, task):
        ledger.add(change)
        if ledger.number > first:
            texts = [text for key, text in change.notes.items() if key.startswith(tags.EVENT)]
            added.assets += [_event(ledger, Event(**json.loads(text))) for text in texts if text]
            if is_recent(folder / f"{ledger.number:06d}.json"):
                added.messages += messages_of(ledger, change)
    events.assets += added.assets
    events.messages += added.messages
    reported[task] = ledger.number


def _event(ledger: Ledger, event: Event) -> dg.AssetMaterialization:
    champion = ledger.aliases.get(ALIAS)
    return dg.AssetMaterialization(
        dg.AssetKey([ledger.task, CHAMPION]),
        description=f"{event.what}: version {event.version}",
        metadata={
            "event": event.what,
            "version": event.version,
            "champion": champion or 0,
            "user": event.who,
            "reason": event.why,
            "time": event.at,
            "page": version_link(ledger.task, event.version),
            "history": task_link(ledger.task),
            "registry": version_page(ledger.task, event.version),
        },
        # A refusal leaves the champion, and what depends on it stays fresh.
        tags={"dagster/data_version": str(champion)},
    )
