"""The task of a draft."""

from collections.abc import Callable

import numpy as np
import pytest

from kinemill.draft.task_draft_writer import Draft, write_task
from kinemill.task import Task, load_task


@pytest.fixture
def task_of(tmp_path) -> Callable[[Draft], Task]:
    """Load the task of a draft."""

    def load(draft: Draft) -> Task:
        path = tmp_path / f"{draft.name}.yaml"
        path.write_text(write_task(draft), encoding="utf-8")
        return load_task(path, {"ingest.min_file_age": 0.0})

    return load


@pytest.fixture
def time():
    """Return 800 timestamps of 100 Hz, s."""
    return 0.01 * np.arange(800)
