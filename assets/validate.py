"""Episodes: the valid stretches of the recordings, and the reasons for rejecting the others.

Input: recordings. Physical checks decide what is cut out, split or quarantined, as configured by
the task; a schema suite generated from the task checks the accepted episodes. The suite's checks
and the quarantined share block the pipeline; other findings are warnings. Units are the task's,
rows at its time step. Rebuilt when the recordings or the task's `validate` part change.
"""

import dagster as dg

from kinemill.store import ArtifactRef, open_ref
from kinemill.task import Task
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import planned_checks
from kinemill_dagster.assets import drift
from kinemill_dagster.assets.metadata import build_metadata, drawing, table
from kinemill_dagster.assets.stage import (
    CheckResult,
    Checks,
    CheckSpec,
    Events,
    Lines,
    emit,
    get_task_resource,
    stage,
)
from kinemill_dagster.resources.links import report_link
from kinemill_dagster.resources.task_resource import TaskResource


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `episodes` of a task."""
    specs = {
        name: CheckSpec(check.description, check.blocking)
        for name, check in planned_checks(task).items()
    } | drift.check_specs(task)
    checks = Checks(specs, _evaluate)
    kinds = {"polars", "greatexpectations"}

    @stage(task, "episodes", __doc__, after=["recordings"], kinds=kinds, checks=checks)
    def episodes(context: dg.AssetExecutionContext, recordings: ArtifactRef) -> Events:
        from kinemill.validate import stage as validate
        from kinemill.validate.summary import EpisodesSummary, read_quarantine
        from kinemill_dagster.resources.pictures import episodes_drawn

        resource = get_task_resource(context)
        artifact = validate.run(resource.task, resource.home, recordings, Lines(context))
        folder, summary = open_ref(resource.home, artifact.ref), EpisodesSummary.of(artifact)
        drawn = episodes_drawn(resource.task, resource.home, recordings, artifact.ref)
        yield from emit(
            context,
            artifact,
            build_metadata(
                episodes=summary.accepted,
                quarantined=summary.quarantined,
                recordings=summary.recordings,
                rows=summary.rows,
                dropped_rows=summary.dropped_rows,
                cuts=drawing(drawn),
                dropped=table([{"check": k, "rows": n} for k, n in summary.dropped.items()]),
                reasons=table(
                    [
                        {"log": log.name, **reason}
                        for log in read_quarantine(folder)
                        for reason in log.reasons
                    ]
                ),
                report=report_link(resource.home, folder / "page.html"),
            ),
            _evaluate(resource, artifact.ref, Lines(context)),
        )

    return episodes


def _evaluate(
    resource: TaskResource, episodes: ArtifactRef, progress: Progress
) -> list[CheckResult]:
    """Return the stored results of validation, and measure drift from the present champion."""
    from kinemill.validate import load_checks

    stored = load_checks(resource.home, episodes)
    return [
        *(CheckResult(one.name, one.passed, one.description, one.values) for one in stored),
        *drift.drift_checks(resource, episodes, progress),
    ]
