"""The pendulum of the tests of training, on which candidates are fitted."""

from tests.train.conftest import packed

__all__ = ["packed"]
