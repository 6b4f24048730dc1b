"""Episodes: the valid segments of the recordings, and the reasons for rejected ones.

Input: recordings. Physical checks remove rows, split or quarantine episodes, as configured by the
task; the task's suite in Great Expectations checks the accepted episodes. The suite's checks and
the quarantined share block the pipeline; other findings are warnings. Units are the task's, rows at
its time step. Rebuilt when the recordings, the task's `validate` part or its suite file change.
"""

import dagster as dg

from kinemill.store import Artifact, ArtifactRef, Home, Json, open_ref
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import CheckOutcome, planned_checks
from kinemill.validate.checkpoint import data_docs
from kinemill.validate.partitions import (
    PartitionEpisodes,
    episodes_by_partition,
    validate_partition,
)
from kinemill.validate.report_samples import QuarantinedRecording
from kinemill.validate.summary import EpisodesSummary, read_quarantine
from kinemill_dagster.assets import drift
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.partitions import add_counts, selected_partition
from kinemill_dagster.assets.stage import (
    ChainSettings,
    Checks,
    CheckSpec,
    Events,
    emit,
    stage,
)
from kinemill_dagster.resources.lines import Lines
from kinemill_dagster.resources.links import report_link
from kinemill_dagster.resources.partitions import is_partitioned
from kinemill_dagster.resources.task_resource import TaskResource


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `episodes` of a task."""
    task = settings.task
    specs = {
        name: CheckSpec(check.description, check.blocking)
        for name, check in planned_checks(task).items()
    } | drift.check_specs(task)
    checks = Checks(specs, _evaluate)
    kinds = {"polars", "greatexpectations"}

    @stage(settings, "episodes", __doc__, after=["recordings"], kinds=kinds, checks=checks)
    def episodes(
        context: dg.AssetExecutionContext, resource: TaskResource, recordings: ArtifactRef
    ) -> Events:
        from kinemill.validate import stage as validate

        if (key := selected_partition(context, task)) is not None:
            yield from _emit_partition(context, resource, key, recordings)
            return
        artifact = validate.run(resource.task, resource.home, recordings, Lines(context))
        folder = open_ref(resource.home, artifact.ref)
        summary = EpisodesSummary.of(artifact)
        results = _evaluate(resource, artifact.ref, Lines(context))
        if is_partitioned(task):
            yield from _emit_all(context, resource, artifact, results)
            return
        yield from emit(
            context,
            artifact,
            build_metadata(
                episodes=summary.accepted,
                quarantined=summary.quarantined,
                recordings=summary.recordings,
                rows=summary.rows,
                dropped_rows=summary.dropped_rows,
                dropped=table([{"check": k, "rows": n} for k, n in summary.dropped.items()]),
                reasons=_reasons(read_quarantine(folder)),
                report=report_link(resource.home, folder / "page.html"),
                data_docs=_data_docs(resource.home),
            ),
            results,
        )

    return episodes


def _emit_partition(
    context: dg.AssetExecutionContext, resource: TaskResource, key: str, recordings: ArtifactRef
) -> Events:
    """Validate one partition. The checks cover all recordings, and block `dataset`."""
    task = resource.task
    home = resource.home
    artifact, counts = validate_partition(task, home, key, recordings, Lines(context))
    listed = read_quarantine(open_ref(home, artifact.ref))
    about = _about_partition(counts) | build_metadata(reasons=_reasons(listed))
    yield from emit(context, artifact, about, None, data_version=counts.digest)


def _emit_all(
    context: dg.AssetExecutionContext,
    resource: TaskResource,
    artifact: Artifact,
    results: list[CheckOutcome],
) -> Events:
    """Yield the output of a run of all partitions, with the counts of each."""
    task = resource.task
    home = resource.home
    counts = episodes_by_partition(task, home, artifact.ref)
    add_counts(context, task, {count.key: _about_partition(count) for count in counts})
    report = report_link(home, home.root / artifact.ref.path / "page.html")
    about = build_metadata(report=report, data_docs=_data_docs(home))
    yield from emit(context, artifact, about, results)


def _data_docs(home: Home) -> dg.MetadataValue | None:
    """Return the path of Great Expectations' Data Docs, once they are built."""
    index = data_docs(home)
    return dg.MetadataValue.path(str(index)) if index.is_file() else None


def _about_partition(counts: PartitionEpisodes) -> Json:
    return build_metadata(
        recordings=counts.recordings,
        episodes=counts.accepted,
        quarantined=counts.quarantined,
        rows=counts.rows,
        dropped_rows=counts.dropped_rows,
    )


def _reasons(quarantined: list[QuarantinedRecording]) -> dg.TableMetadataValue | None:
    return table([{"log": log.name, **reason} for log in quarantined for reason in log.reasons])


def _evaluate(
    resource: TaskResource, episodes: ArtifactRef, progress: Progress
) -> list[CheckOutcome]:
    """Return the stored results of validation, and the drift from the current champion."""
    from kinemill.validate import load_checks

    return [
        *load_checks(resource.home, episodes),
        *drift.drift_checks(resource, episodes, progress),
    ]
