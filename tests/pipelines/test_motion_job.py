"""Presets in the launchpad, and the job of motion tasks."""

import dagster as dg
import pytest

from kinemill.task import load_task
from kinemill.task.presets import preset_overrides
from kinemill_dagster.pipelines.chain import chain_job, definitions_of
from kinemill_dagster.pipelines.task_jobs import known_motions, task_jobs
from tests.launchpad import refusal, task_of_run


def launched(job, config):
    """Return the task that a run of cart_pole has with a launchpad's content."""
    return task_of_run(job.resource_defs["cart_pole"], config)


@pytest.fixture(scope="module")
def job():
    return chain_job(load_task("cart_pole"))


def test_launchpad_presets_are_applied_before_other_keys(job):
    task = launched(job, {"presets": ["model=small"]})
    assert task.learn.model == load_task("cart_pole", preset_overrides(["model=small"])).learn.model
    task = launched(
        job, {"presets": ["model=small"], "learn": {"model": {"hidden_sizes": [8]}, "steps": 50}}
    )
    assert (task.learn.model.hidden_sizes, task.learn.steps) == ([8], 50)


def test_launchpad_lists_presets_and_refuses_unknown_ones(job):
    form = job.resource_defs["cart_pole"].config_schema.config_type
    assert "model=small" in form.fields["presets"].description
    config = {"resources": {"cart_pole": {"config": {"presets": ["model=smal"]}}}}
    assert "model has no preset 'smal'" in refusal(job, config)


def test_project_preset_with_code_is_refused_over_the_web(job, tmp_path, monkeypatch):
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "mine.yaml").write_text("environment.entry_point: os:system\n")
    monkeypatch.setenv("KINEMILL_PRESETS", str(tmp_path))
    config = {"resources": {"cart_pole": {"config": {"presets": ["environment=mine"]}}}}
    assert "entry_point" in refusal(job, config)


def test_motion_form_states_and_enforces_its_bounds():
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
    assert "multiple of 32" in refusal(job, wrong)


def test_motion_form_lists_the_known_clips(home):
    task = load_task("mini_bdx")
    assert known_motions(task, home) == ["*"]
    home.logs("mini_bdx").mkdir(parents=True)
    for name in ("mini_bdx_all_30fps__0.json", "mini_bdx_all_30fps__20.json", "notes.txt"):
        (home.logs("mini_bdx") / name).touch()
    existing = ["mini_bdx_all_30fps__0.json", "mini_bdx_all_30fps__20.json"]
    _pipeline, job = task_jobs(task)
    learn = job.config["resources"]["mini_bdx"]["config"]["learn"]
    assert learn["motions"] == existing
    assert load_task(task.path, {"learn.motions": existing}).learn.motions == existing
