"""Automation conditions of a task: each trigger of its `retrain` part as one condition."""

import json
from abc import abstractmethod
from dataclasses import asdict
from typing import Any, ClassVar

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.task import Task
from kinemill_dagster.assets import stages_of
from kinemill_dagster.assets.lineage import (
    CHAMPION,
    LOGS,
    ROLLOUTS,
    loop_assets,
    upstream_champions,
)
from kinemill_dagster.pipelines.automation import age, drift
from kinemill_dagster.pipelines.automation.arrivals import next_run, read_state, runs_of
from kinemill_dagster.pipelines.automation.tick import Decision, current_tick
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.partitions import is_partitioned
from kinemill_dagster.resources.tags import AT_NIGHT, AUTOMATIC, SOON, WHY

_AGE_INTERVAL = 600.0  # s between two looks at the registry's database; ages are days
Condition = dg.AutomationCondition[dg.AssetKey]
_NEXT_OF_LOOP = {
    "failed": "an episode failed; check the plant, then materialize rollouts",
    "training": "waits for the version of the present round",
    "done": "finished",
}


def conditions_of(task: Task) -> dict[str, Condition]:
    """Return the automation condition of each asset of a task that has one, by asset.

    The first asset of a task runs on new logs and on schedule; with partitions the dataset, since
    Dagster evaluates no condition of an asset that has no partition yet. The first asset that
    trains runs when a training is due. A run that is started for one asset continues to the
    registry.
    """
    retrain, logs = task.retrain, task.learn.from_logs
    first, trains = next(iter(stages_of(task).values())), "model"
    first = "dataset" if is_partitioned(task) else first
    conditions = dict[str, list[Condition]]()
    if logs and retrain.on_arrival:
        conditions.setdefault(first, []).append(NewLogs(task))
        if retrain.after_new_recordings > 1:
            conditions.setdefault(trains, []).append(EnoughRecordings(task))
    if retrain.cron:
        tick = dg.AutomationCondition.cron_tick_passed(retrain.cron).since_last_handled()
        conditions.setdefault(first, []).append(_when_idle(tick) & Scheduled(task))
    if logs and task.learn.gives == "dynamics" and retrain.on_drift:
        conditions.setdefault(trains, []).append(ChampionDrifts(task))
    if logs and retrain.max_age is not None:
        conditions.setdefault(trains, []).append(ChampionTooOld(task))
    for asset, names in upstream_champions(task).items() if retrain.on_upstream else ():
        keys = dg.AssetSelection.assets(*(dg.AssetKey([name, CHAMPION]) for name in names))
        changed = dg.AutomationCondition.data_version_changed()
        new = dg.AutomationCondition.any_deps_match(changed).allow(keys).since_last_handled()
        conditions.setdefault(asset, []).append(_when_idle(new) & NewUpstreamChampion(task))
    for asset in loop_assets(task):
        conditions[asset] = [_when_idle(LoopContinues(task))]
    return {asset: _any(listed) for asset, listed in conditions.items()}


def _when_idle(condition: dg.AutomationCondition[Any]) -> Condition:
    return condition & ~dg.AutomationCondition.in_progress()


def _any(listed: list[Condition]) -> Condition:
    first, *others = listed
    for other in others:
        first = first | other
    return first


class TaskCondition(dg.AutomationCondition[dg.AssetKey]):
    """A condition that reads the home of kinemill; evaluated in the code server.

    Its state between ticks is the cursor of the condition. A fault of one task is logged and does
    not stop the evaluation of the others.

    Args:
        task: the task of the asset.
    """

    text: ClassVar[str]

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    @property
    def name(self) -> str:
        """The name on Dagster's pages; it also identifies the condition's cursor."""
        return type(self).__name__

    @property
    def description(self) -> str:
        """The condition in words."""
        return self.text

    @abstractmethod
    def decide(self, task: Task, cursor: str | None) -> Decision:
        """Decide about the task as it is in its file now, from the cursor of the last tick."""

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return the asset if the condition holds, else an empty subset."""
        tick, empty = current_tick(), context.get_empty_subset()
        if context.candidate_subset.is_empty:
            return dg.AutomationResult(context, empty, cursor=context.cursor)
        try:
            decision = self.decide(tick.load(self.task), context.cursor)
        except (KinemillError, OSError) as error:
            tick.warn(f"{self.task.name}: {error}")
            return dg.AutomationResult(context, empty, cursor=context.cursor)
        tick.note(self.task.name, decision)
        subset = context.candidate_subset if decision.is_due else empty
        return dg.AutomationResult(context, subset, cursor=decision.cursor)


class NewLogs(TaskCondition):
    """Complete logs that no run has read are in the drop folder; see `arrivals.next_run`."""

    text = "logs that no run has read are in the drop folder, and they no longer grow"

    def decide(self, task: Task, cursor: str | None) -> Decision:
        """Request one run per set of logs, and report the new state of the drop folder."""
        tick = current_tick()
        state, runs = read_state(cursor), runs_of(tick.instance, task.name)
        call = next_run(task, tick.home, state, runs, tick.moment)
        if call.request is not None:
            tick.report(
                dg.AssetMaterialization(
                    dg.AssetKey([task.name, LOGS]),
                    description=call.why,
                    metadata={"reason": call.why, "request": call.state.request},
                    tags={"dagster/data_version": call.state.request},
                )
            )
        return Decision(call.request, call.why, json.dumps(asdict(call.state)))


class EnoughRecordings(TaskCondition):
    """`NewLogs` of the same tick requests a whole run: enough recordings arrived."""

    text = "the number of new recordings has reached retrain.after_new_recordings"

    def decide(self, task: Task, cursor: str | None) -> Decision:
        """Repeat the decision about the drop folder, which counts the recordings."""
        requests = [one.request for one in current_tick().decisions(task.name) if one.request]
        whole = next((one for one in requests if one.asset_selection is None), None)
        return Decision(whole, "enough new recordings" if whole else "too few recordings", cursor)


class Scheduled(TaskCondition):
    """Follows a tick of `retrain.cron`: there is something to run on."""

    text = "the task has recordings, or learns without logs"

    def decide(self, task: Task, cursor: str | None) -> Decision:
        """Request a run of low priority; unchanged stages are cache hits."""
        home = current_tick().home
        if task.learn.from_logs and latest(home, task.name, "recordings") is None:
            return Decision(None, f"{task.name} has no recordings", cursor)
        why = f"schedule {task.retrain.cron}"
        return Decision(dg.RunRequest(tags={**AUTOMATIC, **AT_NIGHT, WHY: why}), why, cursor)


class NewUpstreamChampion(TaskCondition):
    """Follows a new champion of a task that this one starts from or trains in."""

    text = "start from, or train in, the new champion of another task"

    def decide(self, task: Task, cursor: str | None) -> Decision:
        """Request a run."""
        names = sorted({name for names in upstream_champions(task).values() for name in names})
        why = f"new champion of {', '.join(names)}"
        return Decision(dg.RunRequest(tags={**AUTOMATIC, **SOON, WHY: why}), why, cursor)


class LoopContinues(TaskCondition):
    """A round of the learning loop can be collected; see `register.loop_round`."""

    text = "the version of the last round is registered, and the loop has neither reached its "
    text += "target nor all its rounds"

    def decide(self, task: Task, cursor: str | None) -> Decision:
        """Request one collection per round, when no run of the task is active.

        A failed episode stops the loop until a user materializes the asset: a robot may need
        repair.
        """
        from kinemill.register.loop_round import loop_state

        tick = current_tick()
        state = loop_state(task, tick.home)
        if state.status != "collect":
            return Decision(None, f"learning loop: {_NEXT_OF_LOOP[state.status]}", cursor)
        if state.key == cursor:
            return Decision(None, "learning loop: already requested", cursor)
        if runs_of(tick.instance, task.name).going():
            return Decision(None, "learning loop: checked again after the active run", cursor)
        why = f"learning loop, round {len(state.rounds) + (not state.missing)}"
        request = dg.RunRequest(
            asset_selection=[dg.AssetKey([task.name, ROLLOUTS])],
            tags={**AUTOMATIC, **SOON, WHY: why},
        )
        return Decision(request, why, state.key)


class ChampionDrifts(TaskCondition):
    """New recordings drift from the champion; see `drift.next_training`."""

    text = (
        "the champion's error on new recordings is above retrain.drift_factor times its usual one"
    )

    def decide(self, task: Task, cursor: str | None) -> Decision:
        """Request one run per set of drifting recordings, when no run of the task is active."""
        tick = current_tick()
        call = drift.next_training(task, tick.home, json.loads(cursor or "{}"))
        # Checked last: the active run may already train on these recordings.
        if call.request and runs_of(tick.instance, task.name).going():
            return Decision(None, f"{call.why}; checked again after the active run", cursor)
        return Decision(call.request, call.why, json.dumps(call.cursor))


class ChampionTooOld(TaskCondition):
    """The champion is older than `retrain.max_age` and there are new logs; see `age`."""

    text = "the champion is older than retrain.max_age, and its dataset is not the newest"

    def decide(self, task: Task, cursor: str | None) -> Decision:
        """Request one run per champion and dataset; look every ten minutes."""
        tick, state = current_tick(), json.loads(cursor or "{}")
        if tick.moment - state.get("at", 0.0) < _AGE_INTERVAL:
            return Decision(None, "checked less than ten minutes ago", cursor)
        looked = {**state, "at": tick.moment}
        called = age.next_training(task, tick.home, tick.moment)
        if isinstance(called, dg.SkipReason):
            return Decision(None, str(called.skip_message), json.dumps(looked))
        if called.run_key == state.get("request"):
            return Decision(None, "already requested", json.dumps(looked))
        if runs_of(tick.instance, task.name).going():
            return Decision(None, "checked again after the active run", cursor)
        requested = json.dumps({**looked, "request": called.run_key})
        return Decision(called, called.tags[WHY], requested)
