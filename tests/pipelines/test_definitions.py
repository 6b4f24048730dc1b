"""Definitions that Dagster loads, and code that it does not."""

import json
import subprocess
import sys

import dagster as dg
import pytest

from kinemill.errors import TaskError
from kinemill.task import load_task
from kinemill.task.overrides import nested
from kinemill.task.settings import leaves
from kinemill_dagster.assets import CHAIN
from kinemill_dagster.assets.metadata import DESCRIPTIONS, build_metadata
from kinemill_dagster.pipelines.chain import chain_job, definitions_of
from kinemill_dagster.pipelines.project_definitions import build
from kinemill_dagster.pipelines.run import run_config
from kinemill_dagster.pipelines.run_errors import reason
from kinemill_dagster.resources.task_resource import define_task_resource, launchpad
from tests.launchpad import task_of_run
from tests.pipelines.conftest import TASK

HEAVY = ["torch", "mlflow", "great_expectations", "mujoco", "matplotlib", "pandas", "onnx"]


def test_definitions_import_no_heavy_library_and_change_no_global(workspace):
    code = (
        "import gc, sys, json; threshold = gc.get_threshold();"
        "import kinemill_dagster.pipelines.definitions;"
        "from sqlalchemy import Engine, event;"
        "from kinemill_dagster.resources.database_listeners import _configure;"
        "assert (gc.get_threshold(), gc.get_freeze_count()) == (threshold, 0);"
        "assert not event.contains(Engine, 'connect', _configure);"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_asset_edges_follow_the_chain(workspace):
    graph = definitions_of([load_task(TASK)]).resolve_asset_graph()
    order = ["logs", *CHAIN.values(), "champion"]
    edges = [
        (parent.path[1], key.path[1])
        for key in graph.get_all_asset_keys()
        for parent in graph.get(key).parent_keys
    ]
    assert len(edges) == 19
    assert [edge for edge in edges if order.index(edge[0]) >= order.index(edge[1])] == []


def test_asset_has_a_description(workspace):
    for spec in definitions_of([load_task(TASK)]).resolve_all_asset_specs():
        assert spec.key.path[0] == spec.group_name == TASK
        assert spec.owners
        assert spec.kinds
        assert len(spec.description) > 60


@pytest.fixture
def pair(workspace, tmp_path):
    """Two tasks of the same settings with other time steps."""
    text = (workspace.tasks / f"{TASK}.yaml").read_text()
    for name, dt in (("left", "0.02"), ("right", "0.04")):
        changed = text.replace(f"task: {TASK}", f"task: {name}").replace("dt: 0.02", f"dt: {dt}")
        (tmp_path / f"{name}.yaml").write_text(changed)
    return [load_task(tmp_path / f"{name}.yaml") for name in ("left", "right")]


def test_assets_of_a_task_need_no_other_task(pair):
    whole = definitions_of(pair).resolve_implicit_global_asset_job_def()
    keys = {key for key in whole.asset_layer.executable_asset_keys if key.path[0] == "left"}
    job = whole.get_subset(asset_selection=keys)
    assert {key for node in job.nodes for key in node.definition.required_resource_keys} == {
        "left",
        "refs",
    }
    assert job.asset_layer.selected_asset_keys == keys


def test_tasks_share_config_types_of_equal_parts(pair):
    remaining, right = (launchpad(task) for task in pair)
    assert remaining["validate"] is right["validate"]
    assert [remaining["dt"].description[:8], right["dt"].description[:8]] == [
        "now 0.02",
        "now 0.04",
    ]


def test_task_has_an_in_process_job(workspace):
    defs = build()
    jobs = {job.name for job in defs.resolve_all_job_defs()}
    assert jobs == {"__ASSET_JOB", TASK}
    assert defs.resolve_implicit_global_asset_job_def().executor_def.name == "in_process"


def test_training_has_no_retry_policy(workspace):
    job = build().resolve_implicit_global_asset_job_def()
    assert job.get_node_named(f"{TASK}__model").definition.retry_policy is None


def test_broken_task_file_is_one_asset_and_other_tasks_load(workspace):
    keys = {key.to_user_string() for key in build().resolve_all_asset_keys()}
    assert "broken/task_file" in keys
    assert f"{TASK}/registered_model" in keys
    (spec,) = [item for item in build().resolve_all_asset_specs() if item.key.path[0] == "broken"]
    assert "chanels" in spec.description
    assert "did you mean 'channels'?" in spec.description


def test_metadata_key_outside_the_vocabulary_is_refused():
    assert build_metadata(rows=3, loss=None) == {"rows": 3}
    with pytest.raises(ValueError, match="lines"):
        build_metadata(lines=3)
    assert all(meaning for meaning in DESCRIPTIONS.values())


def test_launchpad_keys_are_those_of_the_task_file():
    overrides = {"learn.model.hidden_size": 8, "learn.model.type": "gru", "dt": 0.1}
    assert dict(leaves(nested(overrides))) == overrides
    task = load_task("reach")
    again = load_task("reach", {"learn": {"model": {"type": task.learn.model.type}}})
    assert again == task


def test_launchpad_settings_replace_a_number():
    task = load_task("reach", {"dataset.validation": 0.2})
    config = {"dataset": {"validation": {"tail": 0.3}, "test": 0.2}}
    changed = task_of_run(define_task_resource(task), config)
    assert (
        changed.dataset.validation
        == load_task("reach", {"dataset.validation": {"tail": 0.3}}).dataset.validation
    )


@pytest.mark.parametrize("name", ["cart_pole", "double_pendulum", "simple_pendulum"])
def test_scaffolded_launchpad_config_equals_the_task(name):
    task = load_task(name)
    value = task.model_dump(mode="json", by_alias=True)
    del value["task"]
    job = chain_job(task)
    dg.validate_run_config(job, {"resources": {name: {"config": value}}})
    assert load_task(name, value, web=True) == task


def test_launchpad_config_has_types_and_names(workspace):
    job = chain_job(load_task(TASK))
    for wrong in (
        {"verify.horzion": 3},
        {"verify.horizon": "many"},
        {"lern.steps": 3},
        {"learn.checkpoint": "best"},
    ):
        with pytest.raises((dg.DagsterInvalidConfigError, dg.DagsterConfigMappingFunctionError)):
            dg.validate_run_config(job, run_config(load_task(TASK), wrong, None))


def test_run_that_failed_before_any_step_records_the_reason(workspace, task_gone_wrong):
    job, config = task_gone_wrong("steps: 60", "steps: -5"), {}
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(config, instance=instance, raise_on_error=False)
        started = [event for event in done.all_events if event.is_step_start]
    error = done.get_run_failure_event().job_failure_data.error
    assert "learn.steps: Input should be greater than 0; found -5" in reason(error)
    assert started == []


def test_invalid_override_is_refused_with_the_message_of_the_task(workspace):
    from kinemill_dagster.pipelines.run import run_chain

    with pytest.raises(TaskError, match=r"--set learn.stepps: unknown key; did you mean 'steps'"):
        run_chain(TASK, {"learn.stepps": 5})
    assert not (workspace.home.root / "dagster" / "history").exists()
