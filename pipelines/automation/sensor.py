"""The automation sensor: evaluates the conditions of many tasks, and starts one run per task."""

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.task import Task
from kinemill_dagster.assets import stages_of
from kinemill_dagster.pipelines.automation.tick import Tick, open_tick
from kinemill_dagster.resources.partitions import run_tags
from kinemill_dagster.resources.tags import MAX_RUNTIME, PARTITION, TASK

_MOST = 200  # tasks per sensor; Dagster allows 500 conditions, and a task has two or three
_INTERVAL, _TASKS_PER_SECOND = 5, 20  # s; the interval grows to 10 s for 200 tasks


def automation_sensors(tasks: Sequence[Task]) -> list[dg.SensorDefinition]:
    """Return the sensors of the tasks: one for up to 200 tasks."""
    interval = max(_INTERVAL, len(tasks) // _TASKS_PER_SECOND)
    return [
        TaskAutomationSensor(tasks[start : start + _MOST], start // _MOST + 1, interval)
        for start in range(0, len(tasks), _MOST)
    ]


class TaskAutomationSensor(dg.AutomationConditionSensorDefinition):
    """Dagster's sensor of automation conditions, with one run per task.

    Dagster puts all assets that become due in one tick into one run. Tasks must not share a run: a
    slow or failing task would hold up the others, and the limits per task would not apply. This
    class therefore replaces the run requests: each task gets one run, with its tags, from the first
    due asset to the registry.

    Args:
        tasks: the tasks whose conditions are evaluated.
        number: number of the sensor, from 1.
        interval: s between two evaluations.
    """

    def __init__(self, tasks: Sequence[Task], number: int, interval: int) -> None:
        self._tasks = {task.name: task for task in tasks}
        with warnings.catch_warnings():  # evaluation in the code server is a beta feature
            warnings.simplefilter("ignore", dg.BetaWarning)
            super().__init__(
                name="automation" if number == 1 else f"automation_{number}",
                target=dg.AssetSelection.groups(*self._tasks),
                default_status=dg.DefaultSensorStatus.RUNNING,
                minimum_interval_seconds=interval,
                description="Starts runs on new logs, on schedule, on drift, on old champions and "
                "on new champions of upstream tasks. An asset's automation page shows why.",
                use_user_code_server=True,
            )

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> Any:
        """Evaluate all conditions; return Dagster's result with one run request per task."""
        with open_tick(context.instance) as tick:
            data: Any = super().evaluate_tick(context)
        names = {
            key.path[0] for one in data.run_requests or [] for key in one.asset_selection or []
        }
        requests = [_request(self._tasks[name], tick) for name in sorted(names & set(self._tasks))]
        for warning in tick.warnings:
            context.log.warning(warning)
        return type(data)(
            run_requests=requests,
            skip_message=None if requests else tick.summary(),
            cursor=data.cursor,
            asset_events=tick.events,
            automation_condition_evaluations=data.automation_condition_evaluations,
        )


def _request(task: Task, tick: Tick) -> dg.RunRequest:
    """Return the one run of a task: the widest that a condition requests, with all reasons."""
    decided = [one for one in tick.decisions(task.name) if one.request]
    requests = [one.request for one in decided if one.request]
    first = min(requests, key=lambda one: one.asset_selection is not None)
    every = [dg.AssetKey([task.name, asset]) for asset in stages_of(task).values()]
    try:
        of_partitions = run_tags(task, tick.home, tick.instance)
    except (KinemillError, OSError) as error:  # the run fails with it, and other tasks go on
        tick.warn(f"{task.name}: {error}")
        of_partitions = {}
    tags = {
        **first.tags,
        **of_partitions,
        TASK: task.name,
        MAX_RUNTIME: f"{task.compute.run_timeout:.0f}",
    }
    return dg.RunRequest(
        run_key=next((one.run_key for one in requests if one.run_key), None),
        asset_selection=first.asset_selection or every,
        tags=tags,
        partition_key=of_partitions.get(PARTITION),
    )
