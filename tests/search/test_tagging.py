"""Taggers: each recording is tagged once, what a user decided holds, and errors name the tagger."""

import pytest

from kinemill.errors import BadInput
from kinemill.search.tagging import tag_recordings
from kinemill.search.tags import TAGS, add_tag, current_tags, remove_tag, tags_by_recording
from kinemill.task import Tagger, load_task
from tests.dataset.conftest import make_task, publish, spin

FAST = {"type": "threshold", "name": "fast", "channel": "speed", "above": 4.0}


@pytest.fixture
def recordings():
    return [spin(f"{number}.csv", speed=float(number)) for number in range(1, 8)]


def tagged(home, tag):
    table = tags_by_recording(home, "arm")
    return {hash_ for hash_, tags in table.iter_rows() if tag in tags}


def test_new_recordings_are_tagged_once_under_the_name_of_the_plug_in(home, recordings):
    task = make_task({"tag": [FAST]})
    assert tag_recordings(task, home, publish(home, recordings[:5])) == 1
    assert tagged(home, "fast") == {recordings[4].recording}
    assert [(tag.who, tag.tag) for tag in current_tags(home, "arm")] == [("threshold", "fast")]
    every = publish(home, recordings)
    assert tag_recordings(task, home, every) == 2
    assert tag_recordings(task, home, every) == 0
    assert tagged(home, "fast") == {one.recording for one in recordings[4:]}
    assert len(TAGS.read(home, "arm")) == 2
    (home.store / "index" / "arm" / "taggers.json").unlink()  # it is a cache
    assert tag_recordings(task, home, every) == 0
    assert tag_recordings(make_task(), home, every) == 0


def test_a_tag_that_a_user_set_or_removed_is_left_alone(home, recordings):
    task, every = make_task({"tag": [FAST]}), publish(home, recordings)
    five, six, seven = (one.recording for one in recordings[4:])
    add_tag(home, "arm", [five, six], "fast")
    remove_tag(home, "arm", [six], "fast")
    assert tag_recordings(task, home, every) == 1
    assert tagged(home, "fast") == {five, seven}


def test_another_setting_sees_all_recordings_again(home, recordings):
    every = publish(home, recordings)
    assert tag_recordings(make_task({"tag": [FAST]}), home, every) == 3
    slow = {**FAST, "name": "slow", "above": None, "below": 2.5}
    assert tag_recordings(make_task({"tag": [slow, FAST]}), home, every) == 2
    assert tagged(home, "slow") == {one.recording for one in recordings[:2]}


def test_a_function_beside_the_task_file_tags(home, recordings, tmp_path):
    (tmp_path / "tags.py").write_text(
        "def turns(episodes, dt, least: float = 1.0):\n"
        "    for one in episodes:\n"
        "        if abs(one['angle'][-1] - one['angle'][0]) > least:\n"
        "            return ['turns']\n"
        "    return [] if least > 0 else 3\n"
    )
    path = tmp_path / "arm.yaml"
    path.write_text(
        "task: arm\ndt: 0.01\nchannels:\n  angle: {role: state, unit: rad, kind: angle}\n"
        "  speed: {role: state, unit: rad/s, derivative_of: angle}\n"
        "  torque: {role: action, unit: N*m}\n"
        "learn: {type: dynamics, model: {type: mlp}}\n"
        "tag: [{type: 'tags.py:turns', least: 2.0}]\n"
    )
    every = publish(home, recordings)
    assert tag_recordings(load_task(path), home, every) == 3  # 5 to 7 rad/s for 0.49 s
    path.write_text(path.read_text().replace("2.0", "-1.0").replace("angle'][-1]", "angle'][0]"))
    (tmp_path / "tags.py").write_text(
        "def turns(episodes, dt, least: float = 1.0):\n    return 3\n"
    )
    with pytest.raises(BadInput, match=r"tags\.py:turns: returns 3"):
        tag_recordings(load_task(path), home, every)


def test_a_setting_that_the_channels_do_not_admit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected `above`, `below`, or both"):
        make_task({"tag": [{**FAST, "above": None}]})
    path = tmp_path / "arm.yaml"
    path.write_text(
        "task: arm\ndt: 0.01\nchannels:\n  angle: {role: state, unit: rad}\n"
        "  torque: {role: action, unit: N*m}\n"
        "learn: {type: dynamics, model: {type: mlp}}\n"
        "tag: [{type: threshold, name: fast, channel: angel, above: 1}]\n"
    )
    with pytest.raises(BadInput, match=r"angel.*unknown channel"):
        load_task(path)


def test_every_tagger_describes_itself():
    from kinemill.task import TAGGERS

    assert all(issubclass(kind, Tagger) and kind.__doc__ for kind in TAGGERS.values())
