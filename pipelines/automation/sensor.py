"""The automation sensor: evaluates the conditions of many tasks, and starts one run per task."""

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.task import Task
from kinemill_dagster.assets import stages_of
from kinemill_dagster.assets.lineage import loop_assets
from kinemill_dagster.pipelines.automation.tick import Tick, open_tick
from kinemill_dagster.resources.partitions import run_tags
from kinemill_dagster.resources.tags import PARTITION, task_tags

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
        # By key: Dagster compares the group of every asset with each of many groups.
        keys = [
            dg.AssetKey([task.name, asset])
            for task in tasks
            for asset in (*stages_of(task).values(), *loop_assets(task))
        ]
        with warnings.catch_warnings():  # evaluation in the code server is a beta feature
            warnings.simplefilter("ignore", dg.BetaWarning)
            super().__init__(
                name="automation" if number == 1 else f"automation_{number}",
                target=dg.AssetSelection.assets(*keys),
                default_status=dg.DefaultSensorStatus.RUNNING,
                minimum_interval_seconds=interval,
                description="Starts runs on new logs, on schedule, on drift, on old champions and "
                "on new champions of upstream tasks. An asset's automation page shows why.",
                use_user_code_server=True,
            )

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> Any:
        """Evaluate all conditions; return Dagster's result with one run request per task."""
        with _with_open_instance(context) as opened, open_tick(opened.instance) as tick:
            data: Any = super().evaluate_tick(opened)
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


def _with_open_instance(context: dg.SensorEvaluationContext) -> dg.SensorEvaluationContext:
    """Return the context of a tick with the instance that the first tick opened.

    Dagster opens an instance per tick, which reads all migrations of its databases: four fifths of
    the processor time of a tick without news.
    """
    ref = context.instance_ref
    if ref is None:  # in a test, with a separate instance
        return context
    if not _opened or _opened[0][0] != ref:
        _opened[:] = [(ref, dg.DagsterInstance.from_ref(ref))]
    return dg.SensorEvaluationContext(
        instance_ref=ref,
        last_tick_completion_time=context.last_tick_completion_time,
        last_run_key=context.last_run_key,
        cursor=context.cursor,
        log_key=context.log_key,
        repository_name=context.repository_name,
        repository_def=context.repository_def,
        instance=_opened[0][1],
        sensor_name=context.sensor_name,
        last_sensor_start_time=context.last_sensor_start_time,
    )


_opened: list[tuple[Any, dg.DagsterInstance]] = []  # reference and instance, at most one


def _request(task: Task, tick: Tick) -> dg.RunRequest:
    """Return the one run of a task: the widest that a condition requests, with all reasons."""
    decided = [one for one in tick.decisions(task.name) if one.request]
    requests = [one.request for one in decided if one.request]
    first = min(requests, key=lambda one: one.asset_selection is not None)
    every = [dg.AssetKey([task.name, asset]) for asset in stages_of(task).values()]
    try:
        of_partitions = run_tags(task, tick.home, tick.instance)
    except (KinemillError, OSError) as error:  # the run fails with it; other tasks continue
        tick.warn(f"{task.name}: {error}")
        of_partitions = {}
    tags = {**first.tags, **of_partitions, **task_tags(task)}
    return dg.RunRequest(
        run_key=next((one.run_key for one in requests if one.run_key), None),
        asset_selection=first.asset_selection or every,
        tags=tags,
        partition_key=of_partitions.get(PARTITION),
    )
