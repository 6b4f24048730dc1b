"""How the steps of a launched run are executed: in its own process, which ends with its servers."""

from typing import Any

import dagster as dg

from resources.processes import end_with_ancestors

_SCHEMA: Any = dg.in_process_executor.config_schema


@dg.executor(name="in_process", config_schema=_SCHEMA)
def in_process(context: dg.InitExecutorContext) -> dg.Executor:
    """Make Dagster's in-process executor in a process that does not outlive who launched it.

    When the code server or the daemon is killed, a run would go on unseen, with its training, while
    the next daemon starts another. Its process ends instead; the launcher then finds it gone, and
    the run is started again from its checkpoint. A chain that `kinemill run` executes in a terminal
    does not come by here.
    """
    end_with_ancestors()
    make: Any = dg.in_process_executor.executor_creation_fn
    return make(context)
