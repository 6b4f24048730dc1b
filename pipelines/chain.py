"""Dagster definitions of a task: assets, job, sensors and schedule."""

import importlib
from collections.abc import Sequence
from typing import Any

import dagster as dg

from kinemill.task import Task
from kinemill_dagster.assets import stages_of
from kinemill_dagster.pipelines.alerts import ALERTS
from kinemill_dagster.pipelines.backfill import backfill
from kinemill_dagster.pipelines.drift_sensor import drifts
from kinemill_dagster.pipelines.executor import in_process
from kinemill_dagster.pipelines.log_sensor import arrivals
from kinemill_dagster.pipelines.presets import preset_jobs
from kinemill_dagster.pipelines.run_status_sensors import cancellations, failures
from kinemill_dagster.pipelines.schedules import nightly
from kinemill_dagster.pipelines.staleness_sensor import ages
from kinemill_dagster.pipelines.tune import tune
from kinemill_dagster.resources.io import refs
from kinemill_dagster.resources.tags import MAX_RUNTIME, TASK
from kinemill_dagster.resources.task_resource import define_task_resource


def chain(task: Task) -> list[dg.AssetsDefinition]:
    """Return the assets of one task, in the order of the stages."""
    return [importlib.import_module(f"assets.{stage}").make(task) for stage in stages_of(task)]


def definitions_of(
    tasks: Sequence[Task], others: Sequence[dg.AssetsDefinition] = (), *, web: bool = True
) -> dg.Definitions:
    """Return the definitions of some tasks, and of assets that belong to none.

    Args:
        tasks: the tasks, as in their files.
        others: assets of no task.
        web: whether run configuration comes over the web; see `resources.task_resource`.
    """
    return dg.Definitions(
        assets=[*others, *(asset for task in tasks for asset in chain(task))],
        jobs=[*(job for task in tasks for job in (_job(task), *preset_jobs(task))), backfill, tune],
        schedules=[schedule for task in tasks if (schedule := nightly(task))],
        sensors=[
            *(made for task in tasks for made in _watchers(task)),
            failures,
            cancellations,
            *ALERTS,
        ],
        resources={
            "refs": refs,
            "io_manager": dg.mem_io_manager,  # Dagster's default pickles into any folder
            **{task.name: define_task_resource(task, web=web) for task in tasks},
        },
        executor=in_process,  # 2.2 s for six steps; one process per step takes 1.6 s more
    )


def _job(task: Task) -> Any:
    return dg.define_asset_job(
        task.name,
        selection=dg.AssetSelection.groups(task.name),
        description=task.description or f"The full pipeline of {task.name}.",
        tags={TASK: task.name, MAX_RUNTIME: f"{task.compute.run_timeout:.0f}"},
    )


def _watchers(task: Task) -> list[dg.SensorDefinition]:
    """Return the sensors that a task file enables."""
    retrain, logs = task.retrain, task.learn.from_logs
    predicts = logs and task.learn.gives == "dynamics"
    made = {
        arrivals: logs and retrain.on_arrival,
        drifts: predicts and retrain.on_drift,
        ages: logs and retrain.max_age is not None,
    }
    return [make(task) for make, on in made.items() if on]
