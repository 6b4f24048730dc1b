"""The pendulum of the tests of verification, on whose logs policies are measured."""

from tests.verify.conftest import pendulum

__all__ = ["pendulum"]
