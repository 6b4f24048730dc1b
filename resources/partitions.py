"""Partitions of a task in Dagster: keys, and tags of a run over all partitions."""

from pathlib import Path

import dagster as dg

from kinemill.ingest.partitions import first_key
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.tags import ALL, PARTITION, PARTITIONS


def is_partitioned(task: Task) -> bool:
    """Return whether the recordings of a task have partitions."""
    return task.learn.from_logs and task.ingest.partition_by is not None


def partitions_name(task: Task) -> str:
    """Return the name of the set of partitions in Dagster."""
    return f"{task.name}_{task.ingest.partition_by}"


def run_tags(
    task: Task, home: Home, instance: dg.DagsterInstance, folder: Path | None = None
) -> dict[str, str]:
    """Return the tags of a run over all partitions, and add the required key."""
    if not is_partitioned(task):
        return {}
    key = first_key(task, home, folder)
    instance.add_dynamic_partitions(partitions_name(task), [key])
    return {PARTITION: key, PARTITIONS: ALL}
