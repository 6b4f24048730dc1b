"""Presets are jobs whose launchpad is filled in with something that the task accepts."""

import dagster as dg
import pytest

from kinemill.spec import list_tasks, load_task
from pipelines.chain import definitions_of
from pipelines.presets import presets_of
from resources.mill import flatten


@pytest.mark.parametrize("name", list_tasks())
def test_the_presets_of_every_task_are_within_its_bounds(name):
    task = load_task(name)
    for preset in presets_of(task):
        changed = load_task(task.path, flatten({"learn": preset.learn}))
        for key, value in preset.learn.items():
            assert getattr(changed.learn, key) == value


def test_the_launchpad_of_a_preset_is_filled_in_and_launches_as_it_is():
    definitions = definitions_of([load_task("cart_pole")])
    job = definitions.resolve_job_def("cart_pole_quick_look")
    steps = load_task("cart_pole").learn.steps
    config = {"resources": {"cart_pole": {"config": {"learn": {"steps": steps // 10}}}}}
    assert job.run_config == config
    checked = dg.validate_run_config(job, config)
    assert checked["resources"]["cart_pole"]["config"]["learn"]["steps"] == steps // 10
    wrong = {"resources": {"cart_pole": {"config": {"learn": {"amp": "fp8"}}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="off_bf16_fp16"):
        dg.validate_run_config(job, wrong)
