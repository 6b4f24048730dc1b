"""Presets are jobs whose launchpad is filled in with something that the task accepts."""

import dagster as dg
import pytest

from kinemill.task import list_tasks, load_task
from kinemill_dagster.pipelines.chain import definitions_of
from kinemill_dagster.pipelines.presets import known_motions, motion, presets_of


@pytest.mark.parametrize("name", list_tasks())
def test_the_presets_of_every_task_are_within_its_bounds(name):
    task = load_task(name)
    for preset in presets_of(task):
        changed = load_task(task.path, {"learn": preset.learn})
        for key, value in preset.learn.items():
            result = getattr(changed.learn, key)
            if isinstance(value, dict):
                result = {name: getattr(result, name) for name in value}
            assert result == value


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


def test_the_form_of_a_motion_run_states_its_bounds_and_refuses_what_is_beyond_them():
    definitions = definitions_of([load_task("mini_bdx")])
    job = definitions.resolve_job_def("mini_bdx_motion")
    learn = job.run_config["resources"]["mini_bdx"]["config"]["learn"]
    assert (learn["epochs"], learn["batch_size"]) == (100, 32)
    assert dg.validate_run_config(job, job.run_config)
    said = {
        "epochs": "must be >= 1 and <= 1000",
        "batch_size": "must be >= 1 and <= 512",
        "hidden_size": "must be >= 32 and <= 512 and a multiple of 32",
        "optimizer": "must be >= 0.0001 and <= 0.1",
        "motions": "name patterns of the clips",
    }
    fields = job.resource_defs["mini_bdx"].config_schema.config_type.fields["learn"]
    for key, bounds in said.items():
        assert bounds in fields.config_type.fields[key].description, key
    wrong = {"resources": {"mini_bdx": {"config": {"learn": {"hidden_size": 48}}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="multiple of 32"):
        dg.validate_run_config(job, wrong)


def test_the_form_of_a_motion_run_lists_the_known_clips(home):
    task = load_task("mini_bdx")
    assert known_motions(task, home) == ["*"]
    home.logs("mini_bdx").mkdir(parents=True)
    for name in ("mini_bdx_all_30fps__0.json", "mini_bdx_all_30fps__20.json", "notes.txt"):
        (home.logs("mini_bdx") / name).touch()
    existing = ["mini_bdx_all_30fps__0.json", "mini_bdx_all_30fps__20.json"]
    assert motion(task, home).learn["motions"] == existing
    assert load_task(task.path, {"learn.motions": existing}).learn.motions == existing
