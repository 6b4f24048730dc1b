"""The exported model in the task's simulator; MuJoCo moves the pendulum of tasks/pendulum.yaml."""

import pytest

from benchmarks._exports import Export, random_step
from kinemill.control.verification import closed_loop
from kinemill.errors import TaskError
from kinemill.task import load_task

SHORT = {
    "control.seconds": 0.4,
    "control.hold": 0.1,
    "control.controller.samples": 16,
    "control.controller.horizon": 5,
    "control.controller.knots": 3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    export = Export(
        random_step({"type": "mlp", "hidden_sizes": [8]}, 1), tmp_path_factory.mktemp("p")
    )
    export.write()
    return export.folder


def test_a_model_drives_the_plant_and_is_compared_with_doing_nothing(folder):
    task = load_task("pendulum", {**SHORT, "verify.closed_loop": 2})
    result, pictures = closed_loop(task, folder)
    assert [episode.steps for episode in result.episodes] == [20, 20]  # 0.4 s of 20 ms
    assert (result.plant, result.successes) == ("pendulum", 0)
    # Hanging down costs 3 (1 - cos π) = 6 a second, and the start is within 0.5 rad of it.
    assert result.idle_cost == pytest.approx(6 * 0.4, rel=0.1)
    assert result.action_ms > 0
    assert pictures.count('<animate attributeName="points"') == 2
    assert "tip_height" in pictures


def test_closed_loop_without_stated_success_counts_no_successes(folder):
    task = load_task("pendulum", {**SHORT, "control.success": [], "verify.closed_loop": 1})
    result, pictures = closed_loop(task, folder)
    assert (result.successes, result.episodes[0].success) == (None, None)
    assert ", failed" not in pictures
    with pytest.raises(TaskError, match=r"min_success: needs `control\.success`"):
        load_task("pendulum", {**SHORT, "control.success": [], "promote.min_success": 0.5})


def test_none_is_run_where_none_is_asked_for_or_there_is_no_robot(folder):
    assert closed_loop(load_task("pendulum", {"verify.closed_loop": 0}), folder) is None
    assert closed_loop(load_task("simple_pendulum"), folder) is None
