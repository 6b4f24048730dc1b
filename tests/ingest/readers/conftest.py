"""The task of logs of messages."""

import pytest

from tests.conftest import load_task_in
from tests.ingest.messages import TASK


@pytest.fixture
def arm(tmp_path):
    return load_task_in(tmp_path, TASK)
