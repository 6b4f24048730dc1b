"""Documents of runs: status, error, and the version that a run made."""

import dagster as dg
import pytest

from kinemill.errors import TrainingFailed
from kinemill_dagster.pipelines.server.rest.run_documents import Runs
from kinemill_dagster.resources.tags import TASK


@dg.op
def fails_for_the_user():
    message = "loss"
    raise TrainingFailed(message, "is not finite")


@dg.op
def fails():
    raise KeyError("x")


@dg.op
def blocked():
    raise dg.Failure("blocked by 1 check(s): a: b")


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (fails_for_the_user, "loss: is not finite"),
        (fails, "KeyError: 'x'"),
        (blocked, "blocked by 1 check(s): a: b"),
    ],
)
def test_failed_run_has_the_first_error_of_its_step(home, op, message):
    @dg.job(tags={TASK: "tiny"})
    def chain():
        op()

    with dg.DagsterInstance.ephemeral() as instance:
        result = chain.execute_in_process(instance=instance, raise_on_error=False)
        runs = Runs(home, instance)
        document = runs.document(runs.find(result.run_id))
    assert (document.status, document.error) == ("failed", message)
    assert document.completed_at is not None


def test_run_with_a_lost_process_has_the_error_of_the_run(home):
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun(job_name="x", run_id=40 * "a", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        instance.report_run_failed(run, "its process is gone")
        runs = Runs(home, instance)
        (document,) = runs.latest(1)
    assert (document.status, document.error) == ("failed", "its process is gone")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("NOT_STARTED", "queued"),
        ("STARTING", "starting"),
        ("STARTED", "running"),
        ("CANCELING", "canceling"),
        ("SUCCESS", "completed"),
        ("CANCELED", "canceled"),
    ],
)
def test_run_status_of_dagster_is_translated(home, state, status):
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(
            dg.DagsterRun(job_name="x", run_id=40 * "a", status=dg.DagsterRunStatus[state])
        )
        (document,) = Runs(home, instance).latest(1)
    assert document.status == status


def test_finished_run_names_its_version(trained):
    (document,) = trained.get("runs", task="tiny")["runs"]
    assert (document["status"], document["model"]) == ("completed", "models:/tiny/1")
    assert document["step"] == document["total_steps"] == 60
    assert document["completed_at"] > document["created_at"]
