"""The small task of the tests of the Dagster project and its empty home."""

from tests.pipelines.conftest import task_gone_wrong, tasks, workspace  # noqa: F401  (fixtures)
