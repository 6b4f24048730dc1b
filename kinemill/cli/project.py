"""Import modules of the Dagster project, which the library never imports by name."""

import importlib
import sys
from types import ModuleType

from kinemill.errors import BadInput
from kinemill.store.home import project_root


def project(module: str) -> ModuleType:
    """Load a module of the Dagster project, such as `pipelines.run`, from the checkout.

    Raises:
        BadInput: there is no checkout, or Dagster is not installed.
    """
    root = project_root()
    if root is None:
        raise BadInput(
            "the Dagster project",
            "is not here",
            expected="pipelines/definitions.py in the checkout",
            fix="set KINEMILL_PROJECT to the folder of a kinemill checkout",
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in {"pipelines", "kinemill"}:
            raise
        raise BadInput(
            f"module {error.name!r}", "is not installed", fix="pip install 'kinemill[mill]'"
        ) from error
