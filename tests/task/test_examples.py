"""Examples come with the package: every one loads, and one is copied without overwriting."""

import pytest

from kinemill.errors import BadInput
from kinemill.task import load_task
from kinemill.task.examples import copy_example, example_tasks
from tests.conftest import EXAMPLES, ROOT


def test_the_examples_of_the_package_are_those_of_the_repository():
    assert [path.name for path in example_tasks().values()] == sorted(
        path.name for path in EXAMPLES.glob("*.yaml")
    )


@pytest.mark.parametrize("path", example_tasks().values(), ids=list(example_tasks()))
def test_every_example_loads(path):
    task = load_task(path)
    assert task.name == path.stem
    assert task.notes == []


def test_a_bare_clone_has_the_demo_task_alone():
    (task,) = (ROOT / "tasks").glob("*.yaml")
    assert task.resolve() == EXAMPLES / "cart_pole.yaml"


def test_a_copy_has_the_same_content_and_replaces_nothing(tmp_path):
    copied = copy_example("reach", tmp_path / "tasks")
    assert copied.read_bytes() == (EXAMPLES / "reach.yaml").read_bytes()
    with pytest.raises(BadInput, match="already exists"):
        copy_example("reach", tmp_path / "tasks")
