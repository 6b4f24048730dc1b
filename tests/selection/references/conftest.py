"""The pendulum of the tests of verification, to which references are fitted."""

from tests.verify.conftest import pendulum

__all__ = ["pendulum"]
