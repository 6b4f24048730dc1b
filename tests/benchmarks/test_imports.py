"""Every benchmark can be imported, so that a change of the library does not break one unnoticed."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = [path.stem for path in sorted(FOLDER.glob("[!_]*.py"))]


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_can_be_imported(name):
    assert importlib.import_module(f"benchmarks.{name}").__doc__
