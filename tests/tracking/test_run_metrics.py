"""Metrics and progress of a run from its training folder."""

import json

import pytest

from kinemill.tracking.run_links import TrainingLink, note_training
from kinemill.tracking.run_metrics import Progress, RunMetrics, read_progress

RUN = "1a2b3c4d-0000-0000-0000-000000000000"


def test_run_without_a_training_folder_has_no_metrics(home):
    assert RunMetrics(home, RUN).new() == []
    assert read_progress(home, RUN) == Progress()
    note_training(home, RUN, TrainingLink("runs/arm/gone", 500))
    assert RunMetrics(home, RUN).new() == []
    assert read_progress(home, RUN) == Progress(total=500)


@pytest.mark.parametrize("later", [0, 1000])
def test_progress_has_last_step_and_last_loss_of_a_long_log(home, later):
    folder = home.runs / "arm"
    folder.mkdir(parents=True)
    lines = [{"step": 5, "time": 0.0, "train/loss": 0.5}]
    lines += [{"step": step, "time": 0.0, "x" * 50: 0.0} for step in range(6, 6 + later)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "metrics.jsonl").write_text(f'{text}{{"step": 9000, "tr')  # a kill truncated it
    note_training(home, RUN, TrainingLink("runs/arm", 2000))
    assert read_progress(home, RUN) == Progress(5 + later, 2000, 0.5)
