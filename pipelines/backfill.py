"""Backfill: reprocess a range of a task's recordings by its current rules, in a separate run."""

import dagster as dg
from pydantic import Field

from kinemill_dagster.resources.lines import Lines


class Backfill(dg.Config):
    """Selected recordings of a task; names are those when first ingested, in character order."""

    task: str = Field(description="name of the task")
    match: list[str] = Field(default=["*"], description="glob patterns of names; one has to match")
    first: str | None = Field(default=None, description="first name, inclusive")
    last: str | None = Field(default=None, description="last name, inclusive")


@dg.op(description="Read and check a range of known recordings by the task's current rules.")
def recordings_in_range(context: dg.OpExecutionContext, config: Backfill) -> None:
    """Publish missing results; the next run of the task uses them from the cache."""
    from kinemill.store.home import Home
    from kinemill.task import load_task
    from kinemill.task.loader import named_task
    from kinemill.validate.backfill import Range, backfill

    task = load_task(named_task(config.task))
    selected_range = Range(config.match, config.first, config.last)
    report = backfill(task, Home.resolve(), selected_range, Lines(context))
    context.add_output_metadata(
        {"recordings": report.recordings, "read": report.read, "evaluated": report.evaluated}
    )


@dg.job(description="Reprocesses a range of a task's recordings by its current rules.")
def backfill() -> None:
    """Run the one step."""
    recordings_in_range()
