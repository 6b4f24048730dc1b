"""Episodes: the stretches of the recordings that can be trusted, and why the rest cannot.

From: recordings. Physical checks decide what is cut out, split or put in quarantine, as the task
says; a schema suite, generated from the task, then judges what was accepted. Its checks, and the
share in quarantine, block the chain; what was found on the way only warns. Units are the task's,
rows at its time step. Refreshed with the recordings or when the task's `validate` part changes.
"""

import dagster as dg

from assets import drift
from assets.metadata import build_metadata, drawing, reasons, table
from assets.stage import CheckResult, CheckSpec, Events, Lines, emit, get_task_resource, stage
from kinemill.store import ArtifactRef, open_ref, read_json
from kinemill.task import Task
from kinemill.validate.check_results import planned_checks
from resources.links import report_link


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `episodes` of a task."""
    checks = {
        name: CheckSpec(check.description, check.blocking)
        for name, check in planned_checks(task).items()
    } | drift.asked(task)
    kinds = {"polars", "greatexpectations"}

    @stage(task, "episodes", __doc__, after=["recordings"], kinds=kinds, checks=checks)
    def episodes(context: dg.AssetExecutionContext, recordings: ArtifactRef) -> Events:
        from kinemill.validate import load_checks, validate
        from resources.pictures import episodes_drawn

        mill = get_task_resource(context)
        outcome = validate(mill.task, mill.home, recordings, Lines(context))
        folder, summary = open_ref(mill.home, outcome.ref), outcome.summary
        drawn = episodes_drawn(mill.task, mill.home, recordings, outcome.ref)
        yield from emit(
            context,
            outcome,
            build_metadata(
                episodes=summary["accepted"],
                quarantined=summary["quarantined"],
                recordings=summary["recordings"],
                rows=summary["rows"],
                dropped_rows=summary["dropped_rows"],
                cuts=drawing(drawn),
                dropped=table([{"check": k, "rows": n} for k, n in summary["dropped"].items()]),
                reasons=reasons(read_json(folder / "quarantine.json"), "name"),
                report=report_link(mill.home, folder / "page.html"),
            ),
            [
                *(
                    CheckResult(check.name, check.passed, check.description, check.values)
                    for check in load_checks(mill.home, outcome.ref)
                ),
                *drift.answers(mill, outcome.ref, Lines(context)),
            ],
        )

    return episodes
