"""Metrics of a run where its training folder is gone."""

import json
import math

import pytest

from kinemill.tracking import open_tracking
from kinemill.tracking.run_links import DAGSTER_RUN, TrainingLink, note_training
from kinemill.tracking.run_metrics import Progress, RunMetrics, read_progress

RUN = "1a2b3c4d-0000-0000-0000-000000000000"


def test_metrics_come_from_mlflow_where_the_folder_is_gone(tracked_home):
    tracking = open_tracking(tracked_home)
    client = tracking.client
    run = client.create_run(tracking.experiment("arm"), tags={DAGSTER_RUN: RUN}).info.run_id
    for step, loss in ((50, 0.02), (100, math.nan)):
        client.log_metric(run, "train/loss", loss, 1790000000000, step)
    client.log_metric(run, "test/nrmse/model", 0.1, 1790000000000, 0)
    client.log_metric(run, "system/cpu_utilization_percentage", 9.0, 1790000000000, 1000)
    note_training(tracked_home, RUN, TrainingLink("runs/arm/gone", 500, run))
    metrics = RunMetrics.of(tracked_home, RUN, "arm")
    assert [(point["step"], point["train/loss"]) for point in metrics.points] == [
        (50, 0.02),
        (100, None),
    ]
    assert list(metrics.new()) == []
    assert read_progress(tracked_home, RUN, "arm") == Progress(100, 500, None)


def test_without_a_database_there_are_none(home):
    assert RunMetrics.of(home, RUN, "arm").points == []
    assert read_progress(home, RUN, "arm") == Progress()


@pytest.mark.parametrize("later", [0, 1000])
def test_progress_has_last_step_and_last_loss_of_a_long_log(home, later):
    folder = home.runs / "arm"
    folder.mkdir(parents=True)
    lines = [{"step": 5, "time": 0.0, "train/loss": 0.5}]
    lines += [{"step": step, "time": 0.0, "x" * 50: 0.0} for step in range(6, 6 + later)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "metrics.jsonl").write_text(f'{text}{{"step": 9000, "tr')  # a kill truncated it
    note_training(home, RUN, TrainingLink("runs/arm", 2000))
    assert read_progress(home, RUN, "arm") == Progress(5 + later, 2000, 0.5)
