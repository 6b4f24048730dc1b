"""Entry point of Dagster: `defs` of the project.

Importing it only reads the task files: torch, MLflow and Great Expectations are imported by the
stages that use them.
"""

from kinemill.process import permanent_objects, tune_process

tune_process()  # this process is Dagster's: a code server or a run worker
with permanent_objects():  # the imports create a third of them
    from kinemill_dagster.pipelines.project_definitions import build
    from kinemill_dagster.resources.database_listeners import install_listeners

    install_listeners()
    defs = build()
    defs.get_repository_def()  # Dagster keeps it
