"""Rules of reading that change: what they touch is read anew from the kept bytes, nothing else."""

import pytest

from kinemill.ingest import stage as ingest
from tests.ingest.conftest import stored


def test_rules_that_change_make_new_outcomes_from_the_kept_bytes(
    make_task, home, logs, write, swing
):
    log = write("a.csv", swing)
    first = ingest.run(make_task(), home, logs)
    log.unlink()
    second = ingest.run(make_task(dt=0.02), home, logs)
    assert second.artifact.ref != first.artifact.ref
    assert stored(home, second)[1][0].height == 50


def test_a_channel_that_turns_out_to_be_an_angle_is_unwrapped(make_task, home, logs, write):
    turns = [(k / 100, (k / 10 + 3) % 6.283185307 - 3.141592654, 10.0, 0.0) for k in range(50)]
    write("a.csv", turns)
    steps = []
    for kind in ("linear", "angle"):
        task = make_task(channels__angle__kind=kind)
        (frame,) = stored(home, ingest.run(task, home, logs))[1]
        steps.append(float(frame["angle"].diff().abs().max()))
    assert steps == pytest.approx([6.183185307, 0.1])


def test_another_order_of_channels_makes_tracks_in_that_order(make_task, home, logs, write, swing):
    write("a.csv", swing)
    first = make_task()
    ingest.run(first, home, logs)
    turned = first.model_copy(update={"channels": dict(reversed(first.channels.items()))})
    (frame,) = stored(home, ingest.run(turned, home, logs))[1]
    assert frame.columns == ["time_s", "velocity", "angle", "torque"]


@pytest.mark.parametrize(
    "change",
    [
        {"ingest__min_file_age": 1e-3},
        {"ingest__exclude": ["z"]},
        {"learn__seed": 7},
        {"channels__velocity__limits": [-50, 50]},
        {"validate__min_steps": 7},
    ],
)
def test_settings_that_do_not_matter_to_a_recording_leave_it_as_it_is(
    make_task, home, logs, write, swing, change
):
    write("a.csv", swing)
    first = ingest.run(make_task(), home, logs)
    assert ingest.run(make_task(**change), home, logs).artifact.ref == first.artifact.ref
