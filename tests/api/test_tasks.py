import pytest

import kinemill.api as km
from kinemill.errors import TaskError
from tests.api.conftest import rod

MINIMAL = {
    "task": "rod",
    "dt": 0.02,
    "channels": {"angle": {"role": "state", "unit": "rad"}},
    "learn": {"type": "dynamics", "steps": 5},
}


def test_a_task_from_keywords_equals_one_from_a_mapping_and_from_a_file(tmp_path):
    import yaml

    content = rod().model_dump(mode="json", by_alias=True)
    file = tmp_path / "rod.yaml"
    file.write_text(yaml.safe_dump(content))
    for source in (content, file):
        assert km.load_task(source).model_dump(mode="json", by_alias=True) == content
    assert rod().path is None


def test_settings_objects_keep_their_type():
    learn = type(rod().learn)(history=7)
    task = km.make_task(**{**MINIMAL, "learn": learn})
    assert (task.learn.type, task.learn.history) == ("dynamics", 7)
    assert str(task) == repr(task) == "Task rod: dynamics, dt 0.02 s\n  state: angle"


def test_errors_name_the_key_and_the_nearest_name():
    with pytest.raises(TaskError) as error:
        km.load_task({**MINIMAL, "chanels": {}, "learn": {"type": "dynamics", "stepz": 3}})
    assert error.value.problems == [
        "task 'rod': learn.stepz: unknown key; did you mean 'steps'?",
        "task 'rod': chanels: unknown key; did you mean 'channels'?",
    ]
    with pytest.raises(TaskError, match=r"^task: task: is missing"):
        km.make_task(**{key: value for key, value in MINIMAL.items() if key != "task"})


def test_overrides_are_blamed_for_what_they_change():
    assert km.load_task(MINIMAL, {"learn.steps": 6}).learn.steps == 6
    assert MINIMAL["learn"]["steps"] == 5
    with pytest.raises(TaskError, match=r"^--set learn\.steps: .* greater than 0"):
        km.load_task(MINIMAL, {"learn.steps": -1})
    with pytest.raises(TaskError, match=r"^task 'rod': channels\.angle\.unit"):
        km.load_task(
            {**MINIMAL, "channels": {"angle": {"role": "state", "unit": "radd"}}},
            {"learn.steps": 6},
        )
