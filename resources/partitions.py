"""Partitions of a task in Dagster: keys, and tags of a run over all partitions."""

from pathlib import Path

import dagster as dg

from kinemill.ingest.partitions import UNKNOWN, check_number, member_keys, new_keys
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.tags import RANGE_END, RANGE_START


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
