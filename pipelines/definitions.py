"""Entry point of Dagster: `defs` of the project.

Importing it only reads the task files: torch, MLflow and Great Expectations are imported by the
stages that use them.
"""

from kinemill_dagster.pipelines.project_definitions import build

defs = build()
