"""Partitions of `recordings` and `episodes`: by robot, session or day, if the task has a key.

A run of one partition reads that partition. A run of several, such as `kinemill run`, an automatic
run or a backfill, reads all of them in one run. `dataset` and later assets have no partitions and
use all recordings.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.ingest.partitions import UNKNOWN, check_number, member_keys, new_keys
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.tags import PARTITION, RANGE_END, RANGE_START

_ASSETS = ("recordings", "episodes")


def is_partitioned(task: Task) -> bool:
    """Return whether the recordings of a task have partitions."""
    return task.learn.from_logs and task.ingest.partition_by is not None


def partitions_name(task: Task) -> str:
    """Return the name of the set of partitions in Dagster."""
    return f"{task.name}_{task.ingest.partition_by}"


def run_tags(
    task: Task, home: Home, instance: dg.DagsterInstance, folder: Path | None = None
) -> dict[str, str]:
    """Return the tags of a run over all partitions, and add new partitions to Dagster.

    Raises:
        BadInput: There are more partitions than Dagster can show.
    """
    if not is_partitioned(task):
        return {}
    name = partitions_name(task)
    keys = {*member_keys(task, home).values(), *new_keys(task, home, folder)} or {UNKNOWN}
    check_number(task, keys | set(instance.get_dynamic_partitions(name)))
    instance.add_dynamic_partitions(name, sorted(keys))
    ordered = instance.get_dynamic_partitions(name)
    return {RANGE_START: ordered[0], RANGE_END: ordered[-1]}


def partitions_of(task: Task, asset: str) -> dg.DynamicPartitionsDefinition | None:
    """Return the partitions of an asset, or None."""
    if not is_partitioned(task) or asset not in _ASSETS:
        return None
    return dg.DynamicPartitionsDefinition(name=partitions_name(task))


def joined_partitions(task: Task, asset: str) -> list[dg.AssetKey]:
    """Return the upstream assets whose partitions an asset joins from the store."""
    joins = asset == "dataset" and is_partitioned(task)
    return [dg.AssetKey([task.name, "episodes"])] if joins else []


def selected_partition(context: dg.AssetExecutionContext, task: Task) -> str | None:
    """Return the partition of a run; None: all of them, or there are none."""
    return context.run.tags.get(PARTITION) if is_partitioned(task) else None


def add_counts(
    context: dg.AssetExecutionContext, task: Task, metadata: Mapping[str, Mapping[str, Any]]
) -> None:
    """Add metadata to the materialization of each partition of a run.

    Partitions of logs that arrived after the start of the run become known to Dagster.
    """
    selected = set(context.partition_keys)
    for key, counts in metadata.items():
        if key in selected:
            context.add_asset_metadata(counts, partition_key=key)
    if late := sorted(set(metadata) - selected):
        context.instance.add_dynamic_partitions(partitions_name(task), late)
