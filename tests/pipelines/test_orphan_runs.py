"""A run that a signal ended is canceled in Dagster, and its kept results are named."""

import dagster as dg
import pytest

from kinemill.tracking.run_links import TrainingLink, note_training
from kinemill_dagster.pipelines.orphan_runs import cancel_run
from tests.pipelines.conftest import TASK


@dg.asset(key=[TASK, "dataset"])
def dataset() -> None:
    """Stand for a stage that completes."""


@dg.asset(key=[TASK, "model"], deps=[dataset])
def model() -> None:
    """Stand for a stage that a signal ends."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("last", [30, 108])  # of 100, beyond which a last batch can go
def test_interrupted_run_names_assets_and_checkpoint(workspace, last):
    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions([dataset, model]).resolve_implicit_global_asset_job_def()
        job.execute_in_process(instance=instance, raise_on_error=False)
        (run,) = instance.get_runs()
        note_training(workspace.home, run.run_id, TrainingLink(f"runs/{TASK}/abc", 100))
        for step in (10, last):
            (workspace.home.runs / TASK / "abc" / f"checkpoint-{step}").mkdir(parents=True)
        text = cancel_run(instance, workspace.home, run.run_id)
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED
    end = " of 100" if last == 30 else ""
    expected = f"run {run.run_id[:8]} keeps dataset, the checkpoint of step {last}{end}; "
    assert text.startswith(expected)


def test_run_stopped_before_any_stage_keeps_nothing(workspace):
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun(job_name=TASK, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        text = cancel_run(instance, workspace.home, run.run_id)
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED
    assert text.startswith(f"run {run.run_id[:8]} keeps nothing yet; ")
