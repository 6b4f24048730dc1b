"""Fixtures of the repository that these tests share."""

from tests.conftest import shared_data

__all__ = ["shared_data"]
