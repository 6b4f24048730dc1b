"""An uploaded file is never run: not by the launchpad, presets, a search, or another task file."""

import dagster as dg
import pytest

from kinemill.errors import BadInput
from kinemill.task import load_task
from kinemill_dagster.pipelines.chain import chain_job
from kinemill_dagster.pipelines.project_definitions import build
from kinemill_dagster.pipelines.run import make_until, run_config
from kinemill_dagster.resources.task_resource import TaskResource
from tests.launchpad import refusal, task_of_run
from tests.pipelines.conftest import TASK


@pytest.fixture
def evil(workspace):
    """A file that somebody uploaded, and what it leaves behind where it runs."""
    path = workspace.home.root / "artifacts" / "zz" / "evil.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "from pathlib import Path\n"
        "Path(__file__).with_name('ran').touch()\n"
        "def f(simulator, task): return {}\n"
    )
    yield path
    assert not path.with_name("ran").exists()


def job():
    return chain_job(load_task(TASK))


@pytest.mark.parametrize("key", ["learn.eval_callback", "learn.start_from", "ingest.watch"])
def test_launch_with_a_local_file_is_refused_when_planned(workspace, evil, key):
    """`launchRun` and the launchpad make this plan before there is a run."""
    config = run_config(load_task(TASK), {key: f"{evil}:f"}, None)
    assert "web requests cannot set" in refusal(job(), config)


def test_stored_run_with_a_local_file_is_refused_at_its_start(workspace, evil, monkeypatch):
    """As a second run of one that `kinemill run` configured: what its resource is given."""
    task, overrides = load_task(TASK), {"learn": {"eval_callback": f"{evil}:f"}}
    resource = TaskResource(file=str(task.path), overrides=overrides, web=True)
    start = resource.yield_for_execution(dg.build_init_resource_context())
    with pytest.raises(BadInput, match="web requests cannot set"), start:
        pass
    made = chain_job(task, web=False).resource_defs[TASK]
    assert task_of_run(made, overrides).learn.eval_callback == f"{evil}:f"


def test_web_run_with_logs_outside_the_drop_folder_is_refused(workspace, logs, tmp_path):
    config = run_config(load_task(TASK), {}, logs)
    with pytest.raises(BadInput, match="is outside"):
        job().execute_in_process(
            run_config=config, asset_selection=[dg.AssetKey([TASK, "recordings"])]
        )


def test_job_config_with_inputs_or_outputs_is_refused(workspace):
    """Dagster would load a pickle for an input, and write one into any `base_dir`."""
    repository = build().get_repository_def()
    for name in repository.job_names:
        fields = set(_fields(repository.get_job(name).run_config_schema.config_type))
        assert not fields & {"inputs", "pickle", "base_dir"}, name


def _fields(kind, depth=0):
    if depth > 12:
        return
    for name, field in (getattr(kind, "fields", None) or {}).items():
        yield name
        yield from _fields(field.config_type, depth + 1)
    for part in ("inner_type", "scalar_type", "non_scalar_type"):
        if hasattr(kind, part):
            yield from _fields(getattr(kind, part), depth + 1)


def test_terminal_run_with_local_logs_and_code_is_accepted(workspace, logs, tmp_path):
    """`kinemill run --logs FOLDER --set learn.eval_callback=...`, up to the recordings."""
    (tmp_path / "look.py").write_text("def f(simulator, task): return {}\n")
    overrides = {"learn.eval_callback": f"{tmp_path}/look.py:f", "learn.steps": "50"}
    assert make_until("recordings", TASK, overrides, logs=logs)
