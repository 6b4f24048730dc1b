"""The pendulum of the trainings."""

from tests.train.conftest import packed  # noqa: F401  (fixture)
