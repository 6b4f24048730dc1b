"""The task of a draft."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from kinemill.draft.motion import build_motion
from kinemill.draft.robot_file import read_robot
from kinemill.draft.task_draft_writer import Draft, write_task
from kinemill.task import Task
from tests.conftest import load_task_in


@pytest.fixture
def task_of(tmp_path) -> Callable[[Draft], Task]:
    """Load the task of a draft."""
    young = {"ingest.min_file_age": 0.0}
    return lambda draft: load_task_in(tmp_path, write_task(draft), young)


@pytest.fixture(scope="session")
def draft_of(shared_data):
    """Return a function from a real robot to its draft from all clips, which takes 4 s, once."""

    @cache
    def build(robot):
        model = read_robot(shared_data / "awd_robots" / robot / "scene.xml")
        return build_motion("biped", shared_data / "awd_motion", robot=model)

    return build


@pytest.fixture
def time():
    """Return 800 timestamps of 100 Hz, s."""
    return 0.01 * np.arange(800)
