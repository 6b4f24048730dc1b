"""Import modules of the Dagster project, on which the library does not depend."""

import importlib
from types import ModuleType

from kinemill.extras import missing_package


def project(module: str) -> ModuleType:
    """Import a module of the package `kinemill_dagster`, such as `kinemill_dagster.pipelines.run`.

    Raises:
        BadInput: Dagster or another package of the project is not installed.
    """
    try:
        return importlib.import_module(f"kinemill_dagster.{module}")
    except ModuleNotFoundError as error:
        if missing := missing_package(error):
            raise missing from error
        raise
