"""Episodes: the valid segments of the recordings, and the reasons for rejected ones.

Input: recordings. Physical checks remove rows, split or quarantine episodes, as configured by the
task; the task's suite in Great Expectations checks the accepted episodes. The suite's checks and
the quarantined share block the pipeline; other findings are warnings. Units are the task's, rows at
its time step. Rebuilt when the recordings, the task's `validate` part or its suite file change.
"""

from collections.abc import Iterable

import dagster as dg

from kinemill.store import Artifact, ArtifactRef, Home, Json, open_ref, to_json_value
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import CheckOutcome, planned_checks
from kinemill.validate.checkpoint import data_docs
from kinemill.validate.drift.documents import EpisodeVerdict
from kinemill.validate.partitions import (
    PartitionEpisodes,
    episodes_by_partition,
    validate_partition,
)
from kinemill.validate.report import QuarantinedRecording
from kinemill.validate.summary import EpisodesSummary, read_quarantine
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.stage import ChainSettings, Checks, CheckSpec, Events, emit, stage
from kinemill_dagster.resources.lines import Lines
from kinemill_dagster.resources.links import report_link
from kinemill_dagster.resources.partitions import add_counts, is_partitioned, selected_partition
from kinemill_dagster.resources.task_resource import TaskResource

_DRIFT = "drift"
_DRIFT_SPEC = CheckSpec(
    "the champion's error on new episodes does not exceed that on its held-out episodes"
)


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `episodes` of a task."""
    task = settings.task
    specs = {
        name: CheckSpec(check.description, check.blocking)
        for name, check in planned_checks(task).items()
    }
    if task.learn.gives == "dynamics":
        specs[_DRIFT] = _DRIFT_SPEC
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
    from kinemill.validate.stage import load_checks

    results: list[CheckOutcome] = [*load_checks(resource.home, episodes)]
    if resource.task.learn.gives == "dynamics":
        results.append(_measure_drift(resource, episodes, progress))
    return results


def _measure_drift(
    resource: TaskResource, episodes: ArtifactRef, progress: Progress
) -> CheckOutcome:
    """Measure the champion on new accepted episodes. The check warns and never blocks."""
    from kinemill.register.champion import load_champion
    from kinemill.validate.drift import find_drift

    task = resource.task
    home = resource.home
    report = find_drift(task, home, episodes, lambda: load_champion(home, task.name), progress)
    status = {"status": report.status}
    if report.champion is None:
        return CheckOutcome(_DRIFT, True, f"{report.status}: {report.why}", status)
    counts = report.counts
    champion = report.champion
    text = (
        f"{counts.drift} of {counts.episodes} new episodes drift from champion version "
        f"{champion.version}"
    )
    values = {
        **status,
        "champion": champion.version,
        **to_json_value(counts),
        **{f"held-out error of {name}": error for name, error in champion.held_out.items()},
        "factor": report.factor,
        "new_episodes": [_row(verdict, champion.units) for verdict in report.episodes],
        "drifting": to_json_value(report.drifting),
    }
    return CheckOutcome(_DRIFT, counts.drift == 0, text, values)


def _row(verdict: EpisodeVerdict, states: Iterable[str]) -> Json:
    errors = verdict.errors
    return {
        "name": verdict.name,
        "episode": verdict.episode,
        "verdict": verdict.verdict,
        "worst": verdict.worst,
        **{
            f"{name}, times usual": errors[name].ratio if name in errors else None
            for name in states
        },
        "maximum PSI": max(verdict.stability.values()),
        "message": verdict.message,
    }
