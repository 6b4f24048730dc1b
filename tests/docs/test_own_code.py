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
def test_notebook_of_the_page_trains_the_network_of_its_file(home, tmp_path, monkeypatch):
    cell, code = (match["code"] for match in BLOCK.finditer(PAGE))
    head, _, content = cell.partition("\n")
    (tmp_path / head.removeprefix("%%writefile ")).write_text(content)
    monkeypatch.chdir(tmp_path)
    names = {"task": rod(), "logs": logs_of(0, 1, 2, 3, 4), "km": km}
    exec(code.replace("32}}", "32}}, progress=False, track=False"), names)
    model = names["training"].task.learn.model
    assert (model.width, model.source) == (32, content)


@pytest.mark.parametrize("key", ["learn.model", "learn.loss", "learn.features", "validate.checks"])
def test_the_reference_lists_the_keys(key):
    assert f"`{key.rpartition('.')[2]}`" in (ROOT / "docs" / "task-file.md").read_text()
