"""Dagster definitions of a task: assets, the job of its pipeline, and sensors."""

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.component_file import name_of
from kinemill_dagster.assets import stages_of
from kinemill_dagster.assets.code import link_to_git
from kinemill_dagster.assets.lineage import external_assets
from kinemill_dagster.assets.stage import ChainSettings
from kinemill_dagster.pipelines.alerts import outcome_alerts
from kinemill_dagster.pipelines.automation import retraining_sensor, schedule
from kinemill_dagster.pipelines.executor import in_process
from kinemill_dagster.pipelines.registry_events import registry_events
from kinemill_dagster.pipelines.task_jobs import task_jobs
from kinemill_dagster.resources.alerts import settings_file
from kinemill_dagster.resources.io import refs
from kinemill_dagster.resources.task_resource import define_task_resource


def chain(task: Task, *, web: bool = True) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of one task, in the order of the stages.

    They carry the resource of the task. As a resource of the code location it would be in the
    launchpad of every other task too: with 200 tasks, Dagster needs minutes for those forms. `web`:
    whether run configuration comes over the web; see `resources.task_resource`.
    """
    resources = {"refs": refs, task.name: define_task_resource(task, web=web)}
    settings = ChainSettings(task, resources)
    with warnings.catch_warnings():  # resources of an asset and code references are beta features
        warnings.simplefilter("ignore", dg.BetaWarning)
        made = [_make(stage, settings) for stage in stages_of(task)]
        return link_to_git(made)


def _make(stage: str, settings: ChainSettings) -> dg.AssetsDefinition:
    return importlib.import_module(f"kinemill_dagster.assets.{stage}").make(settings)


def task_definitions(task: Task, *, web: bool = True) -> dg.Definitions:
    """Return the assets, jobs and schedule of a task.

    `web`: whether run configuration comes over the web; see `resources.task_resource`.
    """
    return dg.Definitions(
        assets=[external_assets(task), *chain(task, web=web)],
        jobs=task_jobs(task),
        schedules=schedule(task),
    )


def broken_task(path: Path, error: KinemillError) -> dg.AssetsDefinition:
    """Return the asset for an invalid task file; materializing it shows the errors again."""

    @dg.asset(
        key=[name_of(path), "task_file"],
        group_name="broken_tasks",
        kinds={"yaml"},
        description=f"This task file cannot be used:\n\n```\n{error}\n```",
        metadata={"file": dg.MetadataValue.path(str(path))},
    )
    def task_file() -> dg.MaterializeResult[Any]:
        load_task(path)
        return dg.MaterializeResult(metadata={"next": "fixed: reload the code location"})

    return task_file


def definitions_of(
    tasks: Sequence[Task],
    assets: Sequence[dg.AssetsDefinition] = (),
    *,
    components: Sequence[Task] = (),
    web: bool = True,
) -> dg.Definitions:
    """Return the definitions of some tasks, of assets that belong to none, and of all tasks.

    `components`: tasks whose components make their definitions. `web`: whether run configuration
    comes over the web; see `resources.task_resource`.
    """
    made = [task_definitions(task, web=web) for task in tasks]
    shared = dg.Definitions(
        assets=assets,
        sensors=[
            *retraining_sensor(tasks, made),
            registry_events([task.name for task in (*tasks, *components)]),
            *([outcome_alerts] if settings_file(Home.resolve()).is_file() else []),
        ],
        resources={"io_manager": dg.mem_io_manager},  # Dagster's default pickles into any folder
        executor=in_process,  # 2.2 s for six steps; one process per step takes 1.6 s more
    )
    return dg.Definitions.merge(shared, *made)


def chain_job(task: Task, *, web: bool = True) -> dg.JobDefinition:
    """Return the job of a task's pipeline, resolved, for a run in this process.

    `web`: whether run configuration comes over the web; see `resources.task_resource`.
    """
    return definitions_of([task], web=web).resolve_job_def(task.name)
