"""Executor of launched runs: steps run in the run's process, which ends with its servers."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from kinemill_dagster.resources.database_listeners import install_listeners
from kinemill_dagster.resources.pools import sleep_between_claims
from kinemill_dagster.resources.processes import end_with_ancestors

_SCHEMA: Any = dg.in_process_executor.config_schema


@dg.executor(name="in_process", config_schema=_SCHEMA)
def in_process(context: dg.InitExecutorContext) -> dg.Executor:
    """Return Dagster's in-process executor, in a process that exits with its launcher.

    If the code server or the daemon is killed, the run would continue unmonitored while the next
    daemon starts another one. Instead its process exits, the launcher detects that, and the run is
    restarted from its checkpoint. `kinemill run` in a terminal does not use this executor.
    """
    end_with_ancestors()
    install_listeners()
    make: Any = dg.in_process_executor.executor_creation_fn
    return Cancellable(make(context))


class Cancellable(dg.Executor):
    """An executor for a run that may be marked as canceled while its process starts.

    Dagster checks for cancellation once, before the process reports that the run has started. A
    later cancellation would be overwritten by that report, and the run would continue.

    Args:
        executor: the executor of Dagster that runs the steps.
    """

    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> Any:
        """Return the retry mode of the executor."""
        return self._executor.retries

    @property
    def step_dependency_config(self) -> Any:
        """Return the step dependency config of the executor."""
        return self._executor.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Yield the events of the steps; stop if the run is marked as canceled.

        Raises:
            DagsterExecutionInterruptedError: The run was canceled.
        """
        _check(plan_context.instance, plan_context.dagster_run)
        sleep_between_claims(plan_context.instance)
        for event in self._executor.execute(plan_context, execution_plan):
            yield event
            if event.event_type == dg.DagsterEventType.STEP_START:
                _check(plan_context.instance, plan_context.dagster_run)


def _check(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    if instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_CANCELED):
        instance.report_run_canceling(run)  # Dagster then ends the run as canceled, not as failed
        raise dg.DagsterExecutionInterruptedError("The run was canceled while it started.")
