"""Dagster definitions of a task: assets with automation conditions, and sensors.

There is no job for each task: runs select its assets in Dagster's job of all assets, which holds
the task's launchpad already. A named job per task repeats it, and the daemon fetches every job once
a minute: with 200 tasks, that was half of what an idle daemon costs.
"""

import importlib
import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from kinemill.task import Task
from kinemill_dagster.assets import stages_of
from kinemill_dagster.assets.lineage import external_assets
from kinemill_dagster.pipelines.alerts import ALERTS
from kinemill_dagster.pipelines.automation import Condition, automation_sensors, conditions_of
from kinemill_dagster.pipelines.backfill import backfill
from kinemill_dagster.pipelines.executor import in_process
from kinemill_dagster.pipelines.motion_job import motion_jobs
from kinemill_dagster.pipelines.registry_events import registry_events
from kinemill_dagster.pipelines.run_status_sensors import cancellations, failures
from kinemill_dagster.pipelines.tune import tune
from kinemill_dagster.resources.io import refs
from kinemill_dagster.resources.tags import task_tags
from kinemill_dagster.resources.task_resource import define_task_resource


def chain(task: Task, *, web: bool = True) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of one task, in the order of the stages, with automation conditions.

    They carry the resource of the task. As a resource of the code location it would be in the
    launchpad of every other task too: with 200 tasks, Dagster needs minutes for those forms.

    Args:
        task: the task.
        web: whether run configuration comes over the web; see `resources.task_resource`.
    """
    conditions = conditions_of(task)
    assets = [
        _automated(_make(stage, task), conditions.get(asset))
        for stage, asset in stages_of(task).items()
    ]
    own = {"refs": refs, task.name: define_task_resource(task, web=web)}
    # Not `dg.with_resources`: that adds an `io_manager`, and a project may have another one.
    with warnings.catch_warnings():  # resources of an asset are a beta feature
        warnings.simplefilter("ignore", dg.BetaWarning)
        attributes: list[dict[str, Any]] = [
            asset.get_attributes_dict() | {"resource_defs": own} for asset in assets
        ]
        return [dg.AssetsDefinition(**one) for one in attributes]


def _make(stage: str, task: Task) -> dg.AssetsDefinition:
    return importlib.import_module(f"kinemill_dagster.assets.{stage}").make(task)


def _automated(asset: dg.AssetsDefinition, condition: Condition | None) -> dg.AssetsDefinition:
    """Return an asset with its automation condition, a layer above the assets."""
    if condition is None:
        return asset
    return asset.map_asset_specs(
        lambda spec: spec.replace_attributes(automation_condition=condition)
    )


def task_definitions(task: Task) -> dg.Definitions:
    """Return assets and resources of a task that is a component; sensors are shared."""
    return dg.Definitions(
        assets=[external_assets(task), *chain(task)],
        jobs=motion_jobs(task),
    )


def definitions_of(
    tasks: Sequence[Task],
    others: Sequence[dg.AssetsDefinition] = (),
    *,
    components: Sequence[Task] = (),
    web: bool = True,
) -> dg.Definitions:
    """Return the definitions of some tasks, of assets that belong to none, and all sensors.

    Args:
        tasks: the tasks, as in their files.
        others: assets of no task.
        components: tasks with definitions elsewhere, for which sensors are added.
        web: whether run configuration comes over the web; see `resources.task_resource`.
    """
    return dg.Definitions(
        assets=[
            *others,
            *(asset for task in tasks for asset in (external_assets(task), *chain(task, web=web))),
        ],
        jobs=[*(job for task in tasks for job in motion_jobs(task)), backfill, tune],
        sensors=[
            *automation_sensors([*tasks, *components]),
            registry_events([task.name for task in (*tasks, *components)]),
            failures,
            cancellations,
            *ALERTS,
        ],
        resources={"io_manager": dg.mem_io_manager},  # Dagster's default pickles into any folder
        executor=in_process,  # 2.2 s for six steps; one process per step takes 1.6 s more
    )


def chain_job(task: Task, *, web: bool = True) -> dg.JobDefinition:
    """Return a job of all assets of one task, for a run in this process.

    Args:
        task: the task, with its overrides.
        web: whether run configuration comes over the web; see `resources.task_resource`.
    """
    whole = dg.define_asset_job(
        task.name,
        selection=dg.AssetSelection.groups(task.name),
        description=task.description or f"The full pipeline of {task.name}.",
        tags=task_tags(task),
    )
    defs = definitions_of([task], web=web)
    return dg.Definitions.merge(defs, dg.Definitions(jobs=[whole])).resolve_job_def(task.name)
