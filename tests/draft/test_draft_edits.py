"""Edits of a draft: names follow everywhere, and what no longer applies is dropped."""

import copy

import pytest

from kinemill.draft.draft_edits import ChannelRow, edit_task
from kinemill.errors import BadInput, TaskError
from kinemill.task import make_task

DRAFT = {
    "task": "arm",
    "dt": 0.01,
    "channels": {
        "q": {"role": "state", "unit": "rad", "observed_range": [-1.0, 1.0]},
        "dq": {
            "role": "state",
            "unit": "rad/s",
            "derivative_of": "q",
            "source": {"name": "v", "unit": "deg/s"},
        },
        "tau": {"role": "action", "unit": "N*m", "resample": {"method": "hold"}},
        "acc": {"role": "output", "unit": "rad/s^2"},
    },
    "ingest": {"parts": {"a": {"q": "q_a", "time": "t_a"}}},
    "augment": [{"type": "mirror", "flip": ["q", "dq", "tau", "acc"]}],
    "validate": {"max_jump": {"on_fault": "warn"}},
    "learn": {"type": "dynamics", "budget": 600},
}


def row(channel, **changes):
    """The row of a channel as the draft has it, with changes."""
    own = DRAFT["channels"][channel]
    usual = {key: own.get(key) for key in ("role", "unit", "derivative_of")}
    return ChannelRow(**{"channel": channel, "name": channel, **usual, **changes})


def edited(*rows, **settings):
    names = {one.channel for one in rows}
    others = [row(name) for name in DRAFT["channels"] if name not in names]
    return edit_task(DRAFT, [*rows, *others], settings)


def test_rows_without_changes_are_the_draft():
    assert edited() == DRAFT


def test_a_new_name_is_used_wherever_the_channel_is_named():
    task = edited(row("q", name="angle"))
    assert task["channels"]["angle"]["source"] == "q"  # its column keeps its name
    assert task["channels"]["dq"]["derivative_of"] == "angle"
    assert task["augment"][0]["flip"] == ["angle", "dq", "tau", "acc"]
    assert task["ingest"]["parts"]["a"] == {"angle": "q_a", "time": "t_a"}
    assert make_task(task, web=True).states == ["angle", "dq"]
    assert DRAFT["channels"]["dq"]["derivative_of"] == "q"


def test_limits_are_set_and_removed():
    task = edited(row("q", limits=[-2.0, 2.0]))
    assert task["channels"]["q"]["limits"] == [-2.0, 2.0]
    assert "limits" not in edited(row("q"))["channels"]["q"]


def test_a_channel_of_another_role_loses_what_its_role_cannot_have():
    task = edited(row("q", role="output"), row("dq", derivative_of=None))
    assert task["channels"]["q"] == {"role": "output", "unit": "rad"}
    assert make_task(task, web=True).outputs == ["q", "acc"]


def test_a_range_in_another_unit_is_dropped():
    ranged = {**DRAFT, "channels": copy.deepcopy(DRAFT["channels"])}
    for name in ("q", "dq"):
        ranged["channels"][name]["observed_range"] = [-1.0, 1.0]
    rows = [row("q", unit="deg"), row("dq", unit="deg/s"), row("tau"), row("acc")]
    channels = edit_task(ranged, rows, {})["channels"]
    assert "observed_range" in channels["q"]  # its column has the unit of the channel
    assert "observed_range" not in channels["dq"]


def test_a_derived_channel_reads_no_column():
    task = edited(row("dq", derived=True))
    derived = {"role": "state", "unit": "rad/s", "derived": "derivative", "of": "q"}
    assert task["channels"]["dq"] == derived
    assert make_task(task, web=True).derived == {"dq": "q"}


def test_an_image_has_no_unit_and_a_number_needs_one():
    image = {"role": "image", "source": "camera", "shape": [8, 8, 3]}
    task = {**DRAFT, "channels": {**DRAFT["channels"], "camera": image}}
    same = ChannelRow(channel="camera", name="camera", role="image", unit="")
    assert edit_task(task, [same], {})["channels"] == {"camera": image}
    other = edit_task(task, [same.model_copy(update={"role": "state"})], {})
    with pytest.raises(TaskError, match="`shape` is for an image"):
        make_task(other, web=True)


@pytest.mark.parametrize("parent", ["", None])
def test_a_derived_channel_needs_a_parent(parent):
    with pytest.raises(TaskError, match=r"needs `of`|no number ''"):
        make_task(edited(row("dq", derived=True, derivative_of=parent)), web=True)


def test_a_channel_without_a_row_is_left_out():
    task = edit_task(DRAFT, [row("dq", derivative_of=None), row("tau")], {})
    assert list(task["channels"]) == ["dq", "tau"]
    assert task["ingest"]["parts"]["a"] == {"time": "t_a"}


def test_settings_are_dotted_keys():
    task = edited(**{"dt": 0.02, "learn.model": {"type": "mlp"}})
    assert task["dt"] == 0.02
    assert task["learn"]["model"] == {"type": "mlp"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("q", name="tau"), row("tau")], "names two channels"),
        ([ChannelRow(channel="qq", name="q", role="state", unit="1")], "did you mean 'q'"),
    ],
)
def test_rows_that_contradict_are_refused(rows, message):
    with pytest.raises(BadInput, match=message):
        edit_task(DRAFT, rows, {})
