"""Task files that a program writes: text, comments, and a file that is never replaced."""

import pytest

from kinemill.draft.task_file import create_task_file, spell_task
from kinemill.errors import BadInput, KinemillError
from kinemill.task import load_task

TASK = {
    "task": "arm",
    "dt": 0.01,
    "channels": {
        "q": {"role": "state", "unit": "1", "source": "1e3"},
        "tau": {"role": "action", "unit": "N", "source": ["a: b", "#c"]},
    },
    "learn": {"type": "dynamics", "budget": 600},
}


def test_a_channel_is_one_line_with_its_comment():
    text = spell_task(TASK, {"q": "unit?\nsure: no"}, ["Drafted."])
    assert text.splitlines() == [
        "# Drafted.",
        "task: arm",
        "dt: 0.01",
        "channels:",
        "  q: {role: state, unit: '1', source: '1e3'}  # unit? sure: no",
        "  tau: {role: action, unit: N, source: ['a: b', '#c']}",
        "learn: {type: dynamics, budget: 600}",
    ]


def test_the_file_reads_as_the_value(tmp_path):
    text = spell_task(TASK, {"q": "a\x07b"})
    create_task_file(tmp_path / "arm.yaml", text)
    task = load_task(tmp_path / "arm.yaml")
    assert task.channels["q"].source[0].name == "1e3"
    assert [one.name for one in task.channels["tau"].source] == ["a: b", "#c"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kinemill.schema.json", "arm.yaml"]


def test_a_value_that_yaml_cannot_hold_is_an_error():
    with pytest.raises(KinemillError, match="cannot be spelled"):
        spell_task({**TASK, "dt": float("nan")}, {})


def test_a_task_file_is_never_replaced(tmp_path):
    file = tmp_path / "arm.yaml"
    file.write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        create_task_file(file, "task: arm\n")
    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]
