"""Examples as modules."""

import importlib.util
from types import ModuleType

from tests.conftest import ROOT


def load_example(name: str) -> ModuleType:
    """Return `examples/python/NAME.py` as a module."""
    path = ROOT / "examples" / "python" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
