"""A task file that a test can change, and what loading it says."""

from collections.abc import Callable

import pytest

from kinemill.errors import TaskError
from kinemill.task import Task, load_task, parse_overrides

TASK = """task: arm
dt: 0.01
channels:
  q:   {role: state, kind: angle, unit: rad, source: [pos, {name: pos_deg, unit: deg}]}
  qd:  {role: state, unit: rad/s, derivative_of: q, limits: [-30, 30]}
  tau: {role: action, unit: N*m}
learn:
  type: dynamics
  model: {type: mlp, hidden_sizes: [32]}
"""


@pytest.fixture
def load(tmp_path) -> Callable[..., Task]:
    """Load a task with one text replaced by another, more lines, and overrides."""

    def load_changed(
        old: str = "", new: str = "", more: str = "", sets: tuple = (), text: str = TASK
    ) -> Task:
        path = tmp_path / "arm.yaml"
        assert old in text
        path.write_text((text.replace(old, new) if old else text) + more)
        return load_task(path, parse_overrides(list(sets)))

    return load_changed


@pytest.fixture
def problems(load, tmp_path) -> Callable[..., list[str]]:
    """The problems of a changed task, the folder taken off."""

    def problems_of(*args, **kwargs) -> list[str]:
        with pytest.raises(TaskError) as error:
            load(*args, **kwargs)
        return [problem.replace(f"{tmp_path}/", "") for problem in error.value.problems]

    return problems_of
