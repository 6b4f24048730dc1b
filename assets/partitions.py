"""Partitions of `recordings` and `episodes`: by robot, session or day, if the task has a key.

A run from Dagster's pages reads one partition. A run of `kinemill run` or of automation reads all
of them. Dagster accepts one key per run, so that run has the key of one partition and the tag
`kinemill/partitions`, and the assets report the other changed partitions. `dataset` and later
assets have no partitions and use all recordings.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import dagster as dg

from kinemill.ingest.partitions import check_number
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.io import LATEST, note, read_note
from kinemill_dagster.resources.partitions import is_partitioned, partitions_name
from kinemill_dagster.resources.tags import ALL, PARTITIONS

ASSETS = ("recordings", "episodes")
_REPORTED = "partitions"
_VERSION = "dagster/data_version"


class Counts(Protocol):
    """Counts of one partition."""

    @property
    def key(self) -> str:
        """Key of the partition."""
        ...

    @property
    def digest(self) -> str:
        """Digest of its content, the data version."""
        ...


def partitions_of(task: Task, asset: str) -> dg.DynamicPartitionsDefinition | None:
    """Return the partitions of an asset, or None."""
    if not is_partitioned(task) or asset not in ASSETS:
        return None
    return dg.DynamicPartitionsDefinition(name=partitions_name(task))


def joined_partitions(task: Task, asset: str) -> list[dg.AssetKey]:
    """Return the upstream assets whose partitions an asset joins from the store."""
    joins = asset == "dataset" and is_partitioned(task)
    return [dg.AssetKey([task.name, "episodes"])] if joins else []


def selected_partition(context: dg.AssetExecutionContext) -> str | None:
    """Return the partition of a run; None: all of them."""
    if not context.has_partition_key or context.run.tags.get(PARTITIONS) == ALL:
        return None
    return context.partition_key


def report_partitions(
    context: dg.AssetExecutionContext,
    task: Task,
    home: Home,
    counts: Iterable[Counts],
    metadata: Mapping[str, Mapping[str, Any]],
) -> Iterator[dg.AssetMaterialization]:
    """Add new partitions to Dagster, and yield a materialization for each changed one.

    The output of the asset covers the partition of the run's key.

    Raises:
        BadInput: there are more partitions than Dagster can show.
    """
    asset, listed = context.asset_key.path[1], list(counts)
    name, output_key = partitions_name(task), context.partition_key
    existing = set(context.instance.get_dynamic_partitions(name))
    check_number(task, existing.union(one.key for one in listed))
    if new := {one.key for one in listed} - existing:
        context.instance.add_dynamic_partitions(name, sorted(new))
    reported: dict[str, str] = read_note(home, LATEST, task.name, f"{asset}.{_REPORTED}") or {}
    for one in listed:
        if one.key == output_key or reported.get(one.key) == one.digest:
            continue
        if one.key not in new and _is_reported(context, one):
            continue
        yield dg.AssetMaterialization(
            context.asset_key,
            partition=one.key,
            metadata=metadata[one.key],
            # Without a code version: Dagster would require the versions of all inputs.
            tags={_VERSION: one.digest},
        )
    # Not the run's key: its output follows, and the run can be killed before.
    versions = {one.key: one.digest for one in listed if one.key != output_key}
    note(home, LATEST, task.name, f"{asset}.{_REPORTED}", versions)


def _is_reported(context: dg.AssetExecutionContext, counts: Counts) -> bool:
    """Return whether a partition's latest materialization in Dagster has this content."""
    partition_filter = dg.AssetRecordsFilter(context.asset_key, asset_partitions=[counts.key])
    latest = context.instance.fetch_materializations(partition_filter, limit=1).records
    materialization = latest[0].asset_materialization if latest else None
    return materialization is not None and (
        (materialization.tags or {}).get(_VERSION) == counts.digest
    )
