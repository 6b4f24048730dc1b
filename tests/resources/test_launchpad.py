"""The launchpad's form says what it cannot check, and the launch checks it."""

import dagster as dg
import pytest

from kinemill.errors import KinemillError
from kinemill.task import load_task
from kinemill_dagster.resources.task_resource import TaskResource, define_task_resource, launchpad
from tests.conftest import EXAMPLES
from tests.launchpad import refusal


@pytest.fixture(scope="module")
def task():
    return load_task(EXAMPLES / "pendulum.yaml")


def described(shape, *keys):
    for key in keys[:-1]:
        shape = shape[key].config_type.fields
    return shape[keys[-1]].description


def test_descriptions_state_the_bounds(task):
    form = launchpad(task)
    assert "must be > 0." in described(form, "learn", "batch_size")
    assert "must be > 0" in described(form, "learn", "patience")  # or null
    assert "and <= 65536" in described(form, "learn", "model", "hidden_sizes")  # of each item
    assert "must be >= 0" in described(form, "learn", "seed")
    assert described(form, "learn", "batch_size").startswith(f"now {task.learn.batch_size}")


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"batch_size": -5}, {"seed": -1}])
def test_a_value_out_of_bounds_is_refused_before_any_step_and_named(task, change):
    """Also in a run that was stored before its task file changed."""
    resource = TaskResource(file=str(task.path), overrides={"learn": change}, web=True)
    start = resource.yield_for_execution(dg.build_init_resource_context())
    with pytest.raises(KinemillError, match=f"learn.{next(iter(change))}"), start:
        pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_size": 0}, "learn.batch_size: input should be greater than 0"),
        ({"model": {"hidden_sizes": [0]}}, "learn.model.hidden_sizes"),
    ],
)
def test_a_launch_out_of_bounds_is_refused_where_the_plan_is_made(task, change, said):
    """Before there is a run: that is where the web pages and REST ask for it."""

    @dg.op(required_resource_keys={"mill"})
    def look() -> None: ...

    job = dg.GraphDefinition("job", node_defs=[look]).to_job(
        resource_defs={"mill": define_task_resource(task)}
    )
    config = {"resources": {"mill": {"config": {"learn": change}}}}
    assert said in refusal(job, config).replace("Input", "input")
    config["resources"]["mill"]["config"]["learn"] = {"batch_size": 7}
    assert dg.validate_run_config(job, config)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 604800.0),
        ({"freshness": 3600.0}, 3600.0),
        ({"freshness": None}, None),
    ],
)
def test_the_registered_model_has_a_freshness_policy(task, changes, seconds):
    from kinemill_dagster.assets.register import make
    from kinemill_dagster.assets.stage import ChainSettings

    changed = task.model_copy(update={"retrain": task.retrain.model_copy(update=changes)})
    (policy,) = [spec.freshness_policy for spec in make(ChainSettings(changed, {})).specs]
    if seconds is None:
        assert policy is None
        return
    assert policy.fail_window.to_timedelta().total_seconds() == seconds
    assert policy.warn_window.to_timedelta().total_seconds() == pytest.approx(0.8 * seconds)


def test_own_code_is_not_in_the_form_and_not_accepted_from_it():
    """Numbers of own code can be set in the launchpad, the code and its text cannot."""
    task = load_task(EXAMPLES.parent / "own_code" / "rod.yaml")
    form = launchpad(task)
    model = form["learn"].config_type.fields["model"].config_type
    assert {"type", "width"} == set(model.fields)
    resource = TaskResource(file=str(task.path), overrides={"learn": {"model": {"width": 8}}})
    assert resource.task.learn.model.width == 8
    for model in (
        {"type": "my_net.py:Net", "source": "import os"},
        {"type": "my_aug.py:shake"},
        {"type": "other.py:Net"},
    ):
        with pytest.raises(KinemillError, match="web requests cannot set"):
            load_task(task.path, {"learn": {"model": model}}, web=True)
