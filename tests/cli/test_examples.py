"""`kinemill examples` lists the examples and copies one to the tasks of the project."""

from kinemill.task import load_task
from kinemill.task.examples import example_tasks


def test_every_example_has_a_line_with_what_it_learns(kinemill):
    rows = kinemill("examples", "list", "--json")["examples"]
    assert [row["example"] for row in rows] == list(example_tasks())
    assert all(row["description"] and row["learns"] for row in rows)
    assert "pendulum_rl" in kinemill("examples", "list")


def test_a_copied_example_is_a_task_of_the_project(swing, kinemill):
    target = kinemill("examples", "copy", "pendulum", "--json")["file"]
    assert str(load_task("pendulum").path) == target
