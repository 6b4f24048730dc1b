"""Every numeric setting has a lower and an upper bound, the same in every way in."""

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from kinemill.control.sim import SIMULATORS
from kinemill.errors import TaskError
from kinemill.task import bounds as kinds
from kinemill.task import load_task
from kinemill.task.plugins import Settings
from tests.conftest import EXAMPLES
from tests.task.test_web_overrides import every_model

CART_POLE = EXAMPLES / "cart_pole.yaml"
LOWER, UPPER = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}


def numbers(schema):
    """The schemas of all numbers in the value of a key, other models left out: they are walked."""
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind in ("number", "integer") and "const" not in schema:
        yield schema
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for part in schema.get(name, []):
            yield from numbers(part)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from numbers(schema[name])


def is_bounded(schema):
    return bool(LOWER & set(schema)) and bool(UPPER & set(schema))


def every_settings_class():
    """The models of a task file, and all other settings, of simulated robots too."""
    for name in SIMULATORS:
        assert SIMULATORS[name]
    waiting, classes = [Settings], dict.fromkeys(every_model())
    while waiting:
        classes |= dict.fromkeys(inner := waiting.pop().__subclasses__())
        waiting += inner
    return [class_ for class_ in classes if class_.__module__.startswith("kinemill")]


MODELS = every_settings_class()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.__module__}.{model.__name__}")
def test_every_number_has_a_lower_and_an_upper_bound(model):
    """A new one fails here: annotate it with a type of `kinemill.task.bounds`."""
    unbounded = [
        f"{model.__name__}.{key}"
        for key, schema in model.model_json_schema().get("properties", {}).items()
        if not all(map(is_bounded, numbers(schema)))
    ]
    assert unbounded == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.__module__}.{model.__name__}")
def test_every_model_refuses_numbers_that_are_not_finite(model):
    assert model.model_config["allow_inf_nan"] is False


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in vars(kinds)
        if name[0].isupper() and name not in ("Annotated", "Field", "SQUARED")
    ],
)
def test_a_kind_refuses_what_lies_outside(name):
    kind = TypeAdapter(getattr(kinds, name))
    schema = kind.json_schema()
    assert is_bounded(schema)
    highest = schema.get("maximum", schema.get("exclusiveMaximum"))
    lowest = schema.get("minimum", schema.get("exclusiveMinimum"))
    for outside in (highest * 2 + 1, lowest - abs(lowest) - 1, math.inf, math.nan):
        with pytest.raises(ValidationError):
            kind.validate_python(outside)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("learn.batch_size", 100_000_000_000),
        ("learn.model", {"type": "mlp", "hidden_sizes": [1_000_000]}),
        ("dt", 1e-30),
        ("augment", [{"type": "gaussian_noise", "std": {"cart_position": 1e30}}]),
    ],
)
def test_a_number_beyond_any_machine_is_refused_with_its_key_and_bound(key, value):
    with pytest.raises(TaskError, match=rf"--set {key}.*should be (less|greater) than or equal to"):
        load_task(CART_POLE, {key: value})


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    ("key", "at"),
    [
        ("learn.optimizer.lr", lambda number: number),
        ("learn.grad_clip", lambda number: number),
        ("channels.cart_position.limits", lambda number: [number, 1.0]),
        ("tune.space", lambda number: {"learn": {"history": {"range": [1, number]}}}),
        (
            "environment",
            lambda n: {"type": "gymnasium", "id": "CartPole-v1", "arguments": {"a": n}},
        ),
    ],
)
def test_a_number_that_is_not_finite_is_refused_everywhere(key, at, number):
    with pytest.raises(TaskError, match=r"finite|range|expected"):
        load_task(CART_POLE, {key: at(number)})
