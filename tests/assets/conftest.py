"""The small task of the tests of the Dagster project and its empty home."""

from tests.pipelines.conftest import tasks, workspace  # noqa: F401  (fixtures)
