"""Overrides that change what the gate measures."""

import pytest
from pydantic import ValidationError

from kinemill.task.environment import Environment
from kinemill.task.gate_settings import GATE, gate_settings
from kinemill.task.promote import Retrain
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


@pytest.mark.parametrize(
    ("spelled", "seconds"),
    [("30 days", 2592e3), ("1 day", 86400), ("12 hours", 43200), ("2 weeks", 1209600), (60, 60)],
)
def test_period_with_a_unit_is_read_in_seconds(spelled, seconds):
    assert Retrain.model_validate({"freshness": spelled}).freshness == seconds


@pytest.mark.parametrize("spelled", ["a month", "30 fortnights", 0, -1])
def test_invalid_period_is_refused(spelled):
    with pytest.raises(ValidationError, match="freshness"):
        Retrain.model_validate({"freshness": spelled})
