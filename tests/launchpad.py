"""What Dagster makes of a launchpad's content: the task of a run, or the reason of a refusal."""

import dagster as dg
import pytest


def task_of_run(resource, config):
    """Return the task that a run with this config of the task's resource has."""
    with dg.build_resources(
        {"task": resource}, resource_config={"task": {"config": config}}
    ) as made:
        return made.task.task


def refusal(job, config):
    """Return why Dagster refuses to plan a run with this config, so that there is no run."""
    with pytest.raises(dg.DagsterConfigMappingFunctionError) as refused:
        dg.validate_run_config(job, config)
    return str(refused.value.__cause__)
