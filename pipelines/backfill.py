"""A range of a task's recordings, brought to its present rules by a run of its own."""

import dagster as dg
from pydantic import Field

from assets.stage import Lines


class Backfill(dg.Config):
    """Which recordings of which task; names are those at first sight, in character order."""

    task: str = Field(description="name of the task")
    match: list[str] = Field(default=["*"], description="patterns, one of which a name fits")
    first: str | None = Field(default=None, description="the first name, included")
    last: str | None = Field(default=None, description="the last name, included")


@dg.op(description="Read and judge a range of known recordings by the task's present rules.")
def recordings_in_range(context: dg.OpExecutionContext, config: Backfill) -> None:
    """Publish what is missing; the next run of the task finds it known."""
    from kinemill.store.home import Home
    from kinemill.task import load_task
    from kinemill.task.loader import named_task
    from kinemill.validate.backfill import Range, backfill

    task = load_task(named_task(config.task))
    wanted = Range(config.match, config.first, config.last)
    found = backfill(task, Home.resolve(), wanted, Lines(context))
    context.add_output_metadata({key: found[key] for key in ("recordings", "read", "judged")})


@dg.job(
    description="Brings a range of a task's recordings to its present rules, ahead of the rest."
)
def backfill() -> None:
    """Run the one step."""
    recordings_in_range()
