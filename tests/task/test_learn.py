"""A training has a number of steps, or of epochs: exactly one of them."""

import pytest

from kinemill.errors import BadInput, TaskError
from kinemill.task import load_task, make_task
from kinemill.task.loader import recorded_task
from kinemill.task.schema import task_schema
from tests.conftest import EXAMPLES

ARM = {
    "task": "arm",
    "dt": 0.01,
    "channels": {
        "angle": {"role": "state", "unit": "rad"},
        "torque": {"role": "action", "unit": "N*m"},
    },
}
MLP = {"type": "dynamics", "model": {"type": "mlp"}}


def arm(overrides=None, **learn):
    return make_task({**ARM, "learn": {**MLP, **learn}}, overrides)


@pytest.mark.parametrize(
    ("windows", "batch", "accumulate", "steps"),
    [(1000, 100, 1, 30), (1000, 100, 2, 15), (1099, 100, 1, 30), (40, 100, 1, 3), (100, 7, 1, 42)],
)
def test_steps_follow_from_whole_batches_of_the_windows(windows, batch, accumulate, steps):
    learn = arm(epochs=3, batch_size=batch, accumulate=accumulate).learn
    assert learn.steps is None
    counted = learn.with_steps(windows)
    assert (counted.total_steps, counted.epochs) == (steps, 3)
    assert counted.with_steps(7 * windows) == counted  # a training goes on with what it began with


def test_without_either_the_usual_number_of_steps_holds():
    learn = arm().learn
    assert (learn.steps, learn.epochs) == (4000, None)
    assert learn.with_steps(7) is learn


def test_both_or_neither_is_refused():
    with pytest.raises(
        TaskError, match=r"`steps: 5` and `epochs: 2`; expected exactly one of them"
    ):
        arm(steps=5, epochs=2)
    with pytest.raises(TaskError, match=r"`steps: null` and `epochs: null`"):
        arm(steps=None)


@pytest.mark.parametrize("epochs", [0, -1, 2_000_000, 1.5])
def test_epochs_have_bounds(epochs):
    with pytest.raises(TaskError, match=r"learn\.epochs: Input should be"):
        arm(epochs=epochs)


def test_an_override_with_one_replaces_the_other_of_the_file():
    task = arm({"learn.epochs": 3}, steps=500)
    assert (task.learn.epochs, task.learn.steps) == (3, None)
    assert task.notes == ["--set learn.epochs: dropped learn.steps, which it replaces"]
    back = arm({"learn": {"steps": 500}}, epochs=3)
    assert (back.learn.epochs, back.learn.steps) == (None, 500)
    with pytest.raises(TaskError, match="expected exactly one of them"):
        arm({"learn": {"steps": 500, "epochs": 3}})


def test_a_recorded_task_with_all_its_keys_reads_the_same():
    for task in (arm(epochs=3), arm(steps=7), arm()):
        recorded = recorded_task(task.model_dump(mode="json", by_alias=True), None, {}, "record")
        assert recorded.learn == task.learn


def test_epochs_and_steps_are_in_the_key_of_the_stage():
    keys = [arm(**length).part("learn") for length in ({"epochs": 3}, {"epochs": 4}, {"steps": 3})]
    assert len({str(key) for key in keys}) == 3


def test_steps_cannot_be_asked_for_before_windows_are_counted():
    with pytest.raises(BadInput, match=r"learn\.steps: was not derived from learn\.epochs"):
        assert arm(epochs=3).learn.total_steps


@pytest.mark.parametrize(
    ("task", "change", "why"),
    [
        (
            "cartpole_rl",
            {"learn.epochs": 3},
            r"learn\.epochs.*does not apply to reinforcement learning; set `steps`",
        ),
        ("mini_bdx", {"learn.physics": {"epochs": 3}}, r"learn\.physics\.epochs.*does not apply"),
    ],
)
def test_reinforcement_learning_says_why_it_has_no_epochs(task, change, why):
    with pytest.raises(TaskError, match=why):
        load_task(EXAMPLES / f"{task}.yaml", change)


def test_a_portfolio_says_why_it_has_no_epochs():
    with pytest.raises(TaskError, match=r"learn\.epochs.*portfolio trains for `budget` seconds"):
        make_task({**ARM, "learn": {"type": "dynamics", "epochs": 3}})


def test_motion_has_epochs_unless_it_has_steps():
    task = load_task(EXAMPLES / "mini_bdx.yaml", {"learn.steps": 50})
    assert (task.learn.steps, task.learn.epochs) == (50, None)


def test_the_schema_still_requires_an_object_for_learn():
    dynamics = task_schema()["$defs"]["Dynamics"]
    assert {"steps", "epochs"} <= set(dynamics["properties"])
    assert dynamics["type"] == "object"


def test_a_plugin_is_named_by_its_type_alone_and_overrides_change_its_settings():
    short = {"model": "lstm", "optimizer": "sgd", "schedule": "constant"}
    learn = arm(**short).learn
    assert [getattr(learn, key).type for key in short] == [*short.values()]
    changed = arm({"learn.optimizer.lr": 0.5, "learn.model": "gru"}, **short).learn
    assert (changed.optimizer.type, changed.optimizer.lr) == ("sgd", 0.5)
    assert changed.model.type == "gru"
    with pytest.raises(TaskError, match=r"model 'gruu': unknown name; did you mean 'gru'\?"):
        arm(model="gruu")
