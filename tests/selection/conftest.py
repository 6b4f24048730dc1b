"""The pendulum of the tests of training, on which candidates are fitted."""

import pytest

from kinemill.task.portfolio import HISTORIES
from tests.train.conftest import packed

__all__ = ["packed"]


@pytest.fixture
def all_histories(monkeypatch):
    """Try all lengths of history, of which other tests leave most out."""
    monkeypatch.setattr("kinemill.selection.facts.HISTORIES", HISTORIES)
