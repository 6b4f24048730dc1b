"""The web pages: Dagster and MLflow, on this machine alone."""

from typing import Annotated

import typer


def up(
    port: Annotated[int, typer.Option(help="Dagster's port; the next free one if taken.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="MLflow's port, likewise.")] = 5000,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Nobody can start or change anything in Dagster.")
    ] = False,
) -> None:
    """Serve the Dagster and MLflow pages until Ctrl-C; sensors and schedules work meanwhile."""
    from kinemill.cli.project import project

    code = project("pipelines.serve").serve(
        dagster_port=port, mlflow_port=mlflow_port, read_only=read_only
    )
    raise typer.Exit(code)


COMMANDS = [up]
