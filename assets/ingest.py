"""Recordings: every raw log of the task, read once and resampled to the task's time step.

Input: the files in the drop folder, in any format with a reader. A recording is identified by the
hash of its bytes, so copies and renames add no recording; the raw bytes are stored unchanged.
Angles are in rad, unwrapped; all other channels are in the task's units. A log that cannot be read
is quarantined with reasons; the others are processed. Rebuilt when logs arrive.
"""

from pathlib import Path

import dagster as dg
from pydantic import Field

from kinemill.ingest.partitions import (
    PartitionRecordings,
    count_recordings,
    recordings_by_partition,
)
from kinemill.ingest.report import IngestReport
from kinemill.store import ArtifactRef, Json, summary_of
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import CheckOutcome
from kinemill_dagster.assets.metadata import build_metadata, reasons, table
from kinemill_dagster.assets.stage import ChainSettings, Checks, CheckSpec, Events, emit, stage
from kinemill_dagster.resources.io import note
from kinemill_dagster.resources.lines import Lines
from kinemill_dagster.resources.partitions import add_counts, is_partitioned, selected_partition
from kinemill_dagster.resources.task_resource import TaskResource

_READABLE = CheckSpec("every log has readable rows; unreadable rows are counted")


class Logs(dg.Config):
    """Folder or log that this run reads."""

    folder: str | None = Field(
        default=None,
        description="a folder or a log inside the drop folder (default: all of it); kinemill "
        "run reads other places",
    )


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `recordings` of a task."""
    task = settings.task

    @stage(settings, "recordings", __doc__, kinds={"parquet", "polars"}, checks=_CHECKS)
    def recordings(
        context: dg.AssetExecutionContext, config: Logs, resource: TaskResource
    ) -> Events:
        from kinemill.ingest import stage as ingest
        from kinemill.ingest.files import drop_folder
        from kinemill.task.web_overrides import within

        folder = Path(config.folder) if config.folder else None
        if resource.web and folder is not None:
            folder = within(drop_folder(resource.task, resource.home), folder)
        key = selected_partition(context, task)
        report = ingest.run(resource.task, resource.home, folder, Lines(context), partition=key)
        note(resource.home, context.run.run_id, task.name, "cached", report.cached)
        if is_partitioned(task):
            yield from _emit_partitions(context, resource, key, report)
            return
        summary = report.artifact.summary
        yield from emit(
            context,
            report.artifact,
            build_metadata(
                recordings=summary["recordings"],
                quarantined=summary["quarantined"],
                tracks=summary["tracks"],
                rows_read=summary["rows"],
                dropped_rows=summary["dropped_rows"],
                ignored=_ignored(report),
                reasons=reasons(report.fresh, "file"),
            ),
            [_readable(summary)],
        )

    return recordings


def _emit_partitions(
    context: dg.AssetExecutionContext, resource: TaskResource, key: str | None, report: IngestReport
) -> Events:
    """Yield the output of a run of one or all partitions. The check covers all recordings."""
    from kinemill.ingest.snapshot import Snapshot

    task = resource.task
    home = resource.home
    recordings = report.artifact.ref
    about = build_metadata(ignored=_ignored(report), reasons=reasons(report.fresh, "file"))
    if key is not None:
        counts = count_recordings(key, Snapshot(home, recordings))
        about |= _about_partition(counts)
        yield from emit(context, report.artifact, about, None, data_version=counts.digest)
        return
    counts = recordings_by_partition(task, home, recordings)
    add_counts(context, task, {count.key: _about_partition(count) for count in counts})
    yield from emit(context, report.artifact, about, [_readable(report.artifact.summary)])


def _about_partition(counts: PartitionRecordings) -> Json:
    return build_metadata(
        recordings=counts.recordings,
        quarantined=counts.quarantined,
        tracks=counts.tracks,
        rows_read=counts.rows,
        dropped_rows=counts.dropped_rows,
    )


def _ignored(report: IngestReport) -> dg.TableMetadataValue | None:
    return table([{"file": name, "why": why} for name, why in report.ignored.items()])


def _evaluate(
    resource: TaskResource, recordings: ArtifactRef, progress: Progress
) -> list[CheckOutcome]:
    del progress
    return [_readable(summary_of(resource.home, recordings))]


def _readable(summary: Json) -> CheckOutcome:
    counts = ("recordings", "quarantined", "rows", "dropped_rows")
    numbers = {name: summary[name] for name in counts}
    text = (
        "{quarantined} of {recordings} logs have no readable rows; "
        "{dropped_rows} of {rows} rows dropped"
    )
    return CheckOutcome("readable", not summary["quarantined"], text.format(**numbers), numbers)


_CHECKS = Checks({"readable": _READABLE}, _evaluate)
