"""Overrides merge mappings in every interface, and `config` shows the recorded values."""

import copy
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemill.errors import BadInput, TaskError
from kinemill.task import load_task
from kinemill.task.overrides import apply, nested
from kinemill.task.settings import leaves
from kinemill_dagster.pipelines.run import run_config
from kinemill_dagster.resources.task_resource import define_task_resource
from tests.conftest import EXAMPLES
from tests.launchpad import task_of_run

CART_POLE = EXAMPLES / "cart_pole.yaml"


def test_a_dotted_key_is_a_mapping():
    assert nested({"a.b": 1, "a.c.d": 2}) == {"a": {"b": 1, "c": {"d": 2}}}
    assert nested({"a": {"b": 1, "c": 3}, "a.b": 2}) == {"a": {"b": 2, "c": 3}}
    assert nested({"a": {"b": 1}, "a.b.c": 2}) == {"a": {"b": {"c": 2}}}


@pytest.mark.parametrize(
    ("value", "changes", "expected"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": 5}, {"a": {"b": 3}}, {"a": {"b": 3}}),
        ({"a": None}, {"a": {"b": 3}}, {"a": {"b": 3}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": [1, {"b": 2}]}, {"a": {"1": {"c": 3}}}, {"a": [1, {"b": 2, "c": 3}]}),
        ({"a": [1, 2]}, {"a": {"0": 7}}, {"a": [7, 2]}),
        ({"a": [1, 2]}, {"a": {"of": "x"}}, {"a": {"of": "x"}}),
        ({"a": {0: "x", 1: "y"}}, {"a": {"1": "z"}}, {"a": {0: "x", 1: "z"}}),
    ],
)
def test_a_mapping_merges_and_anything_else_replaces(value, changes, expected):
    apply(value, changes)
    assert value == expected


def test_later_type_drops_what_it_lacks_of_earlier_overrides():
    earlier = {"learn.model": {"type": "mlp", "hidden_sizes": [8]}, "learn.model.type": "gru"}
    assert nested(earlier) == {"learn": {"model": {"type": "gru"}}}


KEYS = st.sampled_from(["a", "b", "type", "0", "1"])
TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(KEYS, TREES, max_size=3)


@given(MAPPINGS)
def test_spelling_the_same_again_changes_nothing(changes):
    get_or_build = nested(changes)
    assert nested(get_or_build) == get_or_build
    dotted = {key: value for key, value in leaves(get_or_build) if value != {}}
    assert nested(dotted) == _without_empty(get_or_build)


def _without_empty(value):
    """Drop empty mappings, which `leaves` of a mapping cannot spell as anything but themselves."""
    if not isinstance(value, dict):
        return value
    cleaned = {key: _without_empty(item) for key, item in value.items()}
    return {key: item for key, item in cleaned.items() if item != {}}


@given(MAPPINGS, MAPPINGS)
def test_an_override_that_was_applied_is_in_force(value, changes):
    original = copy.deepcopy(changes)
    try:
        apply(value, nested(changes))
    except BadInput:
        return
    assert changes == original
    merged = copy.deepcopy(value)
    apply(merged, nested(changes))
    assert merged == value


# Overrides of cart_pole that go together in any combination, and some that do not.
PIECES = st.sampled_from(
    [
        {"dataset": {"test": 0.2}}, {"dataset": {"validation": 0.3}},
        {"dataset.validation": {"tail": 0.3}}, {"dataset.validation.tail": 0.2},
        {"dataset.test": [{"of": "*9*"}]},
        {"learn": {"model": {"type": "gru", "hidden_size": 8}}}, {"learn.model.type": "mlp"},
        {"learn.model": {"type": "mlp", "hidden_sizes": [4, 4]}},
        {"learn.model.hidden_sizes": [16]}, {"learn.model.hidden_sizes.0": 32},
        {"learn.optimizer": {"lr": 0.01}}, {"learn.optimizer": {"type": "sgd"}},
        {"learn.optimizer.type": "adam"},
        {"learn.schedule": {"type": "constant", "warmup_steps": 3}}, {"learn.patience": None},
        {"learn.keep": {"last": 3}}, {"learn.steps": 50}, {"learn.steps": "50"},
        {"learn": {"steps": -1}}, {"learn.noise": {"angle": 0.1}},
        {"learn.outputs": {"angle": {"of": "angle_rate"}}}, {"learn.weights": {"angle": 2.0}},
        {"augment": []}, {"augment": [{"type": "gaussian_noise", "std": {"angle": 0.01}}]},
        {"augment.0.std": {"angle": 0.02}}, {"compute": {"type": "torchrun", "processes": 2}},
        {"compute.max_runtime": 60}, {"track": ["tensorboard"]}, {"track": []},
        {"verify": {"horizon": 40}}, {"verify.horizon": "many"}, {"promote.metric": "x"},
        {"tune.space": {"learn": {"history": {"select": [1, 2]}}}},
        {"learn.eval_callback": "math:sin"}, {"learn.type": ["no name"]}, {"nonsense": {"a": 1}},
        {"learn.nonsense.a": 1},
    ]
)  # fmt: skip


def recorded(config):
    """The task of a run with this run config, as `kinemill run` starts it."""
    resource = define_task_resource(load_task(CART_POLE), web=False)
    return task_of_run(resource, config["resources"]["cart_pole"]["config"])


@given(st.lists(PIECES, max_size=5))
@settings(max_examples=40)
def test_what_config_shows_is_what_a_run_records(pieces):
    """Through the run config as Dagster stores it, in any order and nesting."""
    overrides = {key: value for piece in pieces for key, value in piece.items()}
    try:
        loaded = load_task(CART_POLE, overrides)
    except BadInput:  # and no other error: a run refuses it before Dagster is asked
        return
    config = run_config(load_task(CART_POLE), overrides, None)
    stored = yaml.safe_load(json.dumps(config))
    assert recorded(stored).model_dump() == loaded.model_dump()


@pytest.mark.parametrize(
    "overrides",
    [
        {"learn.outputs": {"angle": {"of": "nothing"}}},
        {"learn.outputs": {"a": {}}},
        {"learn.physics.algorithm": {"n_steps": 3}},
        {"learn": 3},
        {"learn": None},
        {"channels": [1]},
        {"learn.model.type": {"a": 1}},
        {"environment": {"type": 3}},
    ],
)
def test_an_override_of_the_wrong_shape_is_a_mistake_of_the_task(overrides):
    with pytest.raises(TaskError):
        load_task(CART_POLE, overrides)
