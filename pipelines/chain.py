"""One task as Dagster sees it: its assets, its job, its sensor and its schedule."""

import importlib
from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets import CHAIN
from kinemill.spec import Task
from pipelines.backfill import backfill
from pipelines.drift import drifts
from pipelines.schedules import nightly
from pipelines.sensors import arrivals, failures
from pipelines.tune import tune
from resources.io import refs
from resources.mill import mill


def chain(task: Task) -> list[dg.AssetsDefinition]:
    """Make the assets of one task, in the order of the stages."""
    return [importlib.import_module(f"assets.{stage}").make(task) for stage in CHAIN]


def definitions_of(
    tasks: Sequence[Task], others: Sequence[dg.AssetsDefinition] = ()
) -> dg.Definitions:
    """Make the definitions of some tasks, and of assets that belong to none."""
    return dg.Definitions(
        assets=[*others, *(asset for task in tasks for asset in chain(task))],
        jobs=[*(_job(task) for task in tasks), backfill, tune],
        schedules=[schedule for task in tasks if (schedule := nightly(task))],
        sensors=[*(make(task) for task in tasks for make in (arrivals, drifts)), failures],
        resources={"refs": refs, **{task.name: mill(task) for task in tasks}},
        executor=dg.in_process_executor,  # 2.2 s for six steps; a process each costs 1.6 s more
    )


def _job(task: Task) -> Any:
    return dg.define_asset_job(
        task.name,
        selection=dg.AssetSelection.groups(task.name),
        description=task.description or f"The whole chain of {task.name}.",
        tags={"kinemill/task": task.name},
    )
