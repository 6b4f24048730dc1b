"""Overrides that change what the gate measures."""

import pytest

from kinemill.task.environment import Environment
from kinemill.task.gate_settings import GATE, gate_settings
from kinemill.task.schema import task_schema
from kinemill.task.stages import Ingest


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"promote.margin": 0}, ["promote.margin"]),
        ({"promote": {}}, ["promote"]),
        ({"verify": {"horizon": 1}}, ["verify"]),
        ({"validate.on_fault": "quarantine"}, ["validate.on_fault"]),
        ({"dataset.test": ["a"], "dataset": {"where": "x"}}, ["dataset.test", "dataset"]),
        ({"ingest": {"include": ["a"], "rate": 5}}, ["ingest.include"]),
        ({"ingest": None}, ["ingest"]),
        ({"environment": {"trials.episodes": 1}}, ["environment.trials.episodes"]),
        ({"learn.steps": 3, "augment": [], "ingest.rate": 5, "promoter": 1, 7: {}}, []),
    ],
)
def test_gate_settings_are_found_in_dotted_and_nested_keys(overrides, expected):
    assert list(gate_settings(overrides)) == expected


@pytest.mark.parametrize("name", GATE)
def test_gate_setting_exists_in_task_file(name):
    properties = task_schema()["properties"]
    part, _, key = name.partition(".")
    assert part in properties
    if key:
        model = {"ingest": Ingest, "environment": Environment}[part]
        assert key in model.model_fields


def test_nested_aliases_are_not_expanded():
    value = {"learn": {}}
    for _ in range(60):
        value = {"a": value, "b": value}
    assert list(gate_settings({"resources": value})) == []
