"""A task in `defs/NAME/defs.yaml` is loaded as one in a file, and listed with the others."""

from textwrap import indent

import pytest

from kinemill.errors import BadInput, TaskError
from kinemill.task import list_tasks, load_task, task_name
from kinemill.task.component_file import component_tasks, sibling, task_bytes
from tests.task.conftest import TASK

HEAD = "type: kinemill_dagster.KinemillTask\nattributes:\n"
LEG = HEAD + indent(TASK.replace("arm", "leg"), "  ")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one task in a file, one in a component, and a component of another type."""
    for folder in ("tasks", "defs/leg", "defs/view"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "tasks" / "arm.yaml").write_text(TASK)
    (tmp_path / "defs" / "leg" / "defs.yaml").write_text(LEG)
    (tmp_path / "defs" / "view" / "defs.yaml").write_text("type: dagster.FunctionComponent\n")
    monkeypatch.setenv("KINEMILL_PROJECT", str(tmp_path))
    monkeypatch.delenv("KINEMILL_TASKS", raising=False)
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "home"))
    return tmp_path


def test_a_component_is_a_task_like_any_other(project):
    leg = project / "defs" / "leg" / "defs.yaml"
    assert list_tasks() == {"arm": project / "tasks" / "arm.yaml", "leg": leg}
    task = load_task("leg", {"learn.steps": 7})
    assert (task.name, task.path, task.learn.steps) == ("leg", leg, 7)
    assert task_name("leg") == "leg"


def test_a_component_that_names_a_file_adds_no_task(project):
    (project / "defs" / "leg" / "defs.yaml").write_text(HEAD + "  file: tasks/arm.yaml\n")
    assert component_tasks(project) == {"arm": project / "tasks" / "arm.yaml"}
    assert list(list_tasks()) == ["arm"]


def test_an_error_names_file_and_line_of_the_component(project):
    path = project / "defs" / "leg" / "defs.yaml"
    path.write_text(LEG.replace("dt: 0.01", "dt: -1"))
    with pytest.raises(TaskError, match=rf"{path}:4: dt: "):
        load_task("leg")
    path.write_text(LEG.replace("task: leg", "task: foot"))
    with pytest.raises(TaskError, match=rf"{path}:3: task: 'foot' is in a folder called leg"):
        load_task(path)
    path.write_text("type: dagster.FunctionComponent\n")
    with pytest.raises(TaskError, match="is not a component of type"):
        load_task(path)


def test_name_in_two_files_is_refused_and_other_tasks_load(project):
    (project / "tasks" / "leg.yaml").write_text(TASK.replace("arm", "leg"))
    (project / "tasks" / "arm.yaml").write_text(TASK)
    assert {"arm", "leg"} <= {*list_tasks()}
    assert load_task("arm").name == "arm"
    for name in ("leg", project / "defs" / "leg" / "defs.yaml"):
        with pytest.raises(BadInput, match=r"task 'leg'.* is in two files.*; rename one"):
            load_task(name)


def test_a_component_becomes_a_task_file_for_other_machines(project, tmp_path):
    path = project / "defs" / "leg" / "defs.yaml"
    copy = tmp_path / "leg.yaml"
    copy.write_bytes(task_bytes(path))
    assert load_task(copy).model_dump() == load_task(path).model_dump()
    assert task_bytes(project / "tasks" / "arm.yaml") == TASK.encode()


def test_the_task_beside_a_component_is_in_the_folder_beside(project):
    leg = project / "defs" / "leg" / "defs.yaml"
    assert sibling(leg, "foot") == project / "defs" / "foot" / "defs.yaml"
    assert sibling(project / "tasks" / "arm.yaml", "foot") == project / "tasks" / "foot.yaml"
