"""The page on own code: its files are the tested examples, and its notebook runs."""

import re

import pytest

import kinemill.api as km
from tests.api.conftest import logs_of, rod
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "own-code.md").read_text()
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.M | re.S)


def test_the_page_shows_every_file_of_the_example():
    included = set(re.findall(r"--8<-- \"examples/own_code/([\w.]+)\"", PAGE))
    assert included == {path.name for path in (ROOT / "examples" / "own_code").glob("*.*")}


@pytest.mark.ci
def test_the_notebook_of_the_page_runs(home, tmp_path):
    """Its classes and functions are in a file, as those of a cell are in `linecache`."""
    (code,) = [match["code"] for match in BLOCK.finditer(PAGE)]
    file = tmp_path / "cell.py"
    file.write_text(code)
    task = rod()
    names = {"__name__": "cell", "task": task, "logs": logs_of(0, 1, 2, 3, 4), "km": km}
    quiet = code.replace("objects=objects)", "objects=objects, progress=False, track=False)")
    file.write_text(quiet)
    run_as_module(names, file)
    training = names["training"]
    assert training.task.learn.model.width == 32
    assert "class Net" in training.task.learn.model.source


def run_as_module(names, file):
    import sys
    import types

    module = types.ModuleType("cell")
    module.__dict__.update(names)
    sys.modules["cell"] = module
    try:
        exec(compile(file.read_text(), str(file), "exec"), module.__dict__)
    finally:
        del sys.modules["cell"]
    names.update(module.__dict__)


@pytest.mark.parametrize("key", ["learn.model", "learn.loss", "learn.features", "validate.checks"])
def test_the_reference_lists_the_keys(key):
    assert f"`{key.rpartition('.')[2]}`" in (ROOT / "docs" / "task-file.md").read_text()
