"""Errors of failed runs."""

from collections.abc import Iterator

import dagster as dg
from dagster_shared.error import SerializableErrorInfo


def reason(error: SerializableErrorInfo) -> str:
    """Return the original error, without the errors that wrap it."""
    failure = error
    while failure.cause is not None and not failure.message.startswith("kinemill."):
        failure = failure.cause
    return failure.message.strip()


def errors_of(instance: dg.DagsterInstance, run: str) -> Iterator[str]:
    """Yield the errors of the failed steps of a run, or that of the run if no step failed."""
    has_step = False
    for entry in instance.all_logs(run, of_type=dg.DagsterEventType.STEP_FAILURE):
        if (event := entry.dagster_event) and (error := event.step_failure_data.error):
            has_step = True
            yield reason(error)
    for entry in instance.all_logs(run, of_type=dg.DagsterEventType.RUN_FAILURE):
        event = entry.dagster_event
        if has_step or event is None:
            return
        # Run monitoring reports a lost process without data.
        error = event.job_failure_data.error if event.event_specific_data else None
        yield reason(error) if error else str(event.message)
