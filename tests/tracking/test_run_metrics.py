"""Metrics of a run where its training folder is gone."""

import math

from kinemill.tracking import open_tracking
from kinemill.tracking.run_links import DAGSTER_RUN, TrainingLink, note_training
from kinemill.tracking.run_metrics import RunMetrics

RUN = "1a2b3c4d-0000-0000-0000-000000000000"


def test_metrics_come_from_mlflow_where_the_folder_is_gone(tracked_home):
    tracking = open_tracking(tracked_home)
    client = tracking.client
    run = client.create_run(tracking.experiment("arm"), tags={DAGSTER_RUN: RUN}).info.run_id
    for step, loss in ((50, 0.02), (100, math.nan)):
        client.log_metric(run, "train/loss", loss, 1790000000000, step)
    client.log_metric(run, "test/nrmse/model", 0.1, 1790000000000, 0)
    note_training(tracked_home, RUN, TrainingLink("runs/arm/gone", 500, run))
    metrics = RunMetrics.of(tracked_home, RUN, "arm")
    assert [(point["step"], point["train/loss"]) for point in metrics.points] == [
        (50, 0.02),
        (100, None),
    ]
    assert (metrics.step, metrics.total) == (100, 500)
    assert list(metrics.new()) == []


def test_without_a_database_there_are_none(home):
    metrics = RunMetrics.of(home, RUN, "arm")
    assert (metrics.points, metrics.step, metrics.loss) == ([], None, None)
