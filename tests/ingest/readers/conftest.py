"""The task of logs of messages."""

import pytest

from kinemill.task import load_task
from tests.ingest.messages import TASK


@pytest.fixture
def arm(tmp_path):
    path = tmp_path / "arm.yaml"
    path.write_text(TASK)
    return load_task(path)
