"""The JSON schema of task files: shipped tasks fit, typing errors do not."""

import json

import pytest
from jsonschema import Draft202012Validator

from kinemill.task import MODELS
from kinemill.task.schema import task_schema
from kinemill.task.yaml import read_yaml
from tests.conftest import EXAMPLES

TASKS = sorted(EXAMPLES.glob("*.yaml"))
ARM = {
    "task": "arm",
    "dt": 0.01,
    "channels": {"angle": {"role": "state", "unit": "rad"}},
    "learn": {"type": "dynamics", "model": {"type": "mlp"}},
}


@pytest.fixture(scope="module")
def validator():
    schema = task_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", TASKS, ids=[path.stem for path in TASKS])
def test_a_shipped_task_fits_the_schema(validator, path):
    assert [error.message for error in validator.iter_errors(read_yaml(path).value)] == []


def test_the_schema_lists_every_model(validator):
    types = [
        definition["properties"]["type"]["const"]
        for definition in validator.schema["$defs"].values()
        if "const" in definition.get("properties", {}).get("type", {})
    ]
    assert set(MODELS) <= set(types)


@pytest.mark.parametrize(
    "change",
    [
        {"dt": 0},
        {"chanels": {}},
        {"channels": {"angle": {"rol": "state", "unit": "rad"}}},
        {"learn": {"type": "dynamics", "model": {"type": "mpl"}}},
        {"learn": {"type": "dynamics", "model": {"type": "mlp"}, "hstory": 3}},
        {"promote": {"margin": "wide"}},
        {"validate": {"stuck": {"secnds": 1}}},
    ],
    ids=json.dumps,
)
def test_a_typing_error_does_not_fit(validator, change):
    assert validator.is_valid(ARM)
    assert not validator.is_valid({**ARM, **change})


def test_every_key_has_a_description(validator):
    """An editor shows it; pydantic drops it where it repeats that of the referenced definition."""
    definitions = validator.schema["$defs"]
    objects = [
        (name, each)
        for name, node in {"Task": validator.schema, **definitions}.items()
        for each in (node, *node.get("anyOf", []))
        if "properties" in each
    ]
    missing = [
        f"{name}.{key}"
        for name, node in objects
        for key, value in node["properties"].items()
        if not {"const", "description"} & value.keys()
        if "description" not in definitions.get(value.get("$ref", "").rpartition("/")[2], {})
    ]
    assert len(objects) > 100
    assert missing == []
