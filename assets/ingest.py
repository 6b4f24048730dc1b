"""Recordings: every raw log of the task, read once, resampled to the task's time step.

From: the files in the drop folder, in any format that a reader knows. A recording is known by the
hash of its bytes, so copies and renames add nothing, and raw bytes are kept unchanged. Angles are
in rad, unwrapped; every other channel in the task's unit. A log that cannot be read is put in
quarantine with its reasons, and the rest goes on. Refreshed when logs arrive.
"""

from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.metadata import build_metadata, drawing, reasons, table
from assets.stage import CheckResult, CheckSpec, Events, Lines, emit, get_task_resource, stage
from kinemill.store import Json
from kinemill.task import Task
from resources.io import note

_CHECKS = {
    "readable": CheckSpec("something could be read of every log; rows lost on the way are counted")
}


class Logs(dg.Config):
    """Where this run looks for new logs."""

    folder: str | None = Field(
        default=None,
        description="a folder or a log in the drop folder, which is the default; kinemill run "
        "reads any other",
    )


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `recordings` of a task."""

    @stage(task, "recordings", __doc__, kinds={"parquet", "polars"}, checks=_CHECKS)
    def recordings(context: dg.AssetExecutionContext, config: Logs) -> Events:
        from kinemill.ingest import ingest
        from kinemill.ingest.stage import drop_folder
        from kinemill.task.web_overrides import within
        from resources.pictures import recordings_drawn

        mill, folder = get_task_resource(context), Path(config.folder) if config.folder else None
        if mill.web and folder is not None:
            folder = within(drop_folder(mill.task, mill.home), folder)
        mill.read_ahead(folder, context.log.info)
        report = ingest(mill.task, mill.home, folder, Lines(context))
        note(mill.home, context.run.run_id, task.name, "known", report.known)
        if not report.outcome.known:
            mill.expect_training()
        summary = report.outcome.summary
        yield from emit(
            context,
            report.outcome,
            build_metadata(
                recordings=summary["recordings"],
                quarantined=summary["quarantined"],
                tracks=summary["tracks"],
                rows_read=summary["rows"],
                dropped_rows=summary["dropped_rows"],
                typical=drawing(recordings_drawn(mill.task, mill.home, report.outcome.ref)),
                ignored=table([{"file": name, "why": why} for name, why in report.ignored.items()]),
                reasons=reasons(report.fresh, "file"),
            ),
            [_readable(summary)],
        )

    return recordings


def _readable(summary: Json) -> CheckResult:
    counts = ("recordings", "quarantined", "rows", "dropped_rows")
    numbers = {name: summary[name] for name in counts}
    told = "{quarantined} of {recordings} logs gave nothing; {dropped_rows} of {rows} rows lost"
    return CheckResult("readable", not summary["quarantined"], told.format(**numbers), numbers)
