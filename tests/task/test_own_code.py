"""Own code in a task file: settings, errors, the project's folder, and requests over the web."""

import pytest
import yaml

from kinemill.errors import TaskError
from kinemill.task import Task, load_task
from kinemill.task.loader import make_task, recorded_task
from kinemill.task.own_code import code_of, has_own_code
from kinemill.task.schema import task_schema
from tests.conftest import ROOT
from tests.task.conftest import TASK

NET = """import torch
from typing import Literal
from torch import nn


class Net(nn.Module):
    \"\"\"A net.\"\"\"

    def __init__(self, inputs: int, outputs: int, history: int = 1, width: int = 4,
                 kind: Literal["a", "b"] = "a", table: str = ""):
        super().__init__()
        self.layer = nn.Linear(inputs * history, outputs)

    def forward(self, rows):
        return self.layer(rows.flatten(1))


def huber(error, delta: float = 1.0):
    return error.abs()
"""
OWN = "{type: 'my_net.py:Net', width: 8}"


@pytest.fixture
def own_task(tmp_path):
    """A folder with a task that names own code; the function loads it."""
    (tmp_path / "my_net.py").write_text(NET)

    def load(model: str = OWN, **overrides) -> Task:
        path = tmp_path / "arm.yaml"
        path.write_text(TASK.replace("{type: mlp, hidden_sizes: [32]}", model))
        return load_task(path, **overrides)

    return load


def problem(load, *args, **overrides) -> str:
    with pytest.raises(TaskError) as error:
        load(*args, **overrides)
    return str(error.value)


def test_parameters_are_settings_with_defaults_and_types(own_task):
    model = own_task().learn.model
    assert (model.width, model.kind, model.source) == (8, "a", NET)
    assert type(model).__doc__ == "A net."
    network = model.build(3, 2, 5)
    assert [tuple(parameter.shape) for parameter in network.parameters()] == [(2, 15), (2,)]
    assert "unable to parse" in problem(own_task, "{type: 'my_net.py:Net', width: wide}")
    assert "'a' or 'b'" in problem(own_task, "{type: 'my_net.py:Net', kind: c}")
    assert "did you mean 'width'?" in problem(own_task, "{type: 'my_net.py:Net', widht: 3}")


def test_the_short_form_takes_overrides(own_task):
    overrides = {"learn.model.width": 16}
    assert own_task("my_net.py:Net", overrides=overrides).learn.model.width == 16
    changed = own_task(overrides={"learn.model.type": "mlp"})
    assert "dropped width" in changed.notes[0]
    assert own_task(overrides={"learn.model": {"type": "my_net.py:Net"}}).learn.model.width == 8


def test_the_text_of_the_file_is_part_of_the_task(own_task, tmp_path):
    """The code is in every stage key, and other processes and recorded tasks need no file."""
    task = own_task()
    part_before = task.part("learn")
    (tmp_path / "my_net.py").write_text(NET + "\n# changed\n")
    assert own_task().part("learn") != part_before
    (tmp_path / "my_net.py").unlink()
    restored = Task.model_validate(task.model_dump(mode="json", by_alias=True))
    assert restored.part("learn") == part_before
    content = task.model_dump(mode="json", by_alias=True)
    changed = recorded_task(content, task.path, {"learn.model.width": 2}, "version 1")
    assert (changed.learn.model.width, changed.learn.model.source) == (2, NET)
    assert has_own_code(task)
    assert not has_own_code(load_task("pendulum"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def Net(:\n", "my_net.py:1: is not Python"),
        ("import no_such_package\n", "my_net.py:1: ModuleNotFoundError: No module named"),
        ("x = 1\ny = x / 0\n", "my_net.py:2: ZeroDivisionError"),
        ("class Nett: pass\n", "has no class or function 'Net'; did you mean 'Nett'?"),
        ("class Net:\n    pass\n", "takes no 'inputs'; expected the parameters"),
        ("def Net(inputs, outputs, type=1): pass\n", "a parameter 'type', which is reserved"),
        ("def Net(inputs, outputs, build=1): pass\n", "a parameter 'build', which is reserved"),
        (
            "class X: pass\ndef Net(inputs, outputs, x: X = 1): pass\n",
            "that task files do not support",
        ),
        ("import other\n", "imports other, another file of the project"),
        ("from . import other\n", "another file of the project"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(own_task, tmp_path, text, message):
    (tmp_path / "other.py").write_text("")
    (tmp_path / "my_net.py").write_text(text)
    error_text = problem(own_task)
    assert message in error_text
    assert "arm.yaml:9: learn.model" in error_text


def test_a_missing_file_is_refused_with_the_nearest(own_task):
    assert "did you mean 'my_net.py'?" in problem(own_task, "my_nett.py:Net")


def test_a_file_lies_in_the_project(own_task, tmp_path):
    """No path and no symbolic link leaves the folder of the task, or the project around it."""
    outside = tmp_path.parent / f"{tmp_path.name}_outside.py"
    outside.write_text(NET)
    (tmp_path / "link.py").symlink_to(outside)
    assert "is outside of the project" in problem(own_task, f"../{outside.name}:Net")
    assert "is outside of the project" in problem(own_task, "link.py:Net")
    assert "is an absolute path" in problem(own_task, f"{tmp_path}/my_net.py:Net")
    (tmp_path / "inner.py").symlink_to(tmp_path / "my_net.py")
    assert own_task("inner.py:Net").learn.model.width == 4


def test_a_project_is_the_folder_of_its_workspace(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "my_net.py").write_text(NET)
    path = tmp_path / "tasks" / "arm.yaml"
    path.write_text(TASK.replace("{type: mlp, hidden_sizes: [32]}", "../code/my_net.py:Net"))
    assert load_task(path).learn.model.width == 4
    assert load_task(path, {"learn.model.width": 5}, web=True).learn.model.width == 5


def test_a_component_names_own_code_beside_its_file(tmp_path):
    folder = tmp_path / "arm"
    folder.mkdir()
    (folder / "my_net.py").write_text(NET)
    task = yaml.safe_load(TASK) | {"learn": {"type": "dynamics", "model": "my_net.py:Net"}}
    component = {"type": "kinemill_dagster.KinemillTask", "attributes": task}
    (folder / "defs.yaml").write_text(yaml.safe_dump(component))
    assert load_task(folder / "defs.yaml").learn.model.width == 4
    with pytest.raises(TaskError, match="web requests cannot set"):
        load_task(folder / "defs.yaml", {"learn.loss": "my_net.py:huber"}, web=True)


WEB = [
    {"learn.model.type": "other.py:Net"},
    {"learn.model": "other.py:Net"},
    {"learn.model": {"type": "my_net.py:huber"}},
    {"learn.model.source": "import os"},
    {"learn.model": {"type": "my_net.py:Net", "source": "import os"}},
    {"learn.model.table": "/etc/passwd"},
    {"learn.loss": "my_net.py:huber"},  # it is in the folder, but not in the task file
    {"learn.loss": {"type": "x.py:huber", "source": "import os"}},
    {"learn.features": "my_net.py:huber"},
    {"learn.coordinates": "my_net.py:Net"},
    {"augment": ["my_net.py:huber"]},
    {"augment": [{"type": "my_net.py:huber"}]},
    {"validate.checks": {"own": "my_net.py:huber"}},
]


@pytest.mark.parametrize("overrides", WEB)
def test_own_code_is_never_accepted_from_the_web(own_task, tmp_path, overrides):
    ran = tmp_path / "ran"
    (tmp_path / "other.py").write_text(f"open({str(ran)!r}, 'w')\n{NET}")
    with pytest.raises(TaskError, match="web requests cannot set"):
        own_task(overrides=overrides, web=True)
    assert not ran.exists()


def test_a_web_request_sets_numbers_and_choices_of_own_code(own_task):
    changed = own_task(overrides={"learn.model.width": 3, "learn.model.kind": "b"}, web=True)
    assert (changed.learn.model.width, changed.learn.model.kind) == (3, "b")


def test_a_web_request_may_send_the_whole_settings_back(own_task, tmp_path):
    """A search does so; the code is that of the task file."""
    same = {"learn.model": {"type": "my_net.py:Net", "source": NET, "width": 5}}
    assert own_task(overrides=same, web=True).learn.model.width == 5
    overrides_ = {"learn.loss": {"type": "my_net.py:huber", "source": NET}}
    with pytest.raises(TaskError, match="web requests cannot set"):
        own_task(overrides=overrides_, web=True)


def test_a_task_of_the_web_names_no_code(tmp_path, monkeypatch):
    (tmp_path / "my_net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    task = yaml.safe_load(TASK)
    assert make_task(task, web=True).learn.model.type == "mlp"
    task["learn"]["model"] = {"type": "my_net.py:Net"}
    assert make_task(task).learn.model.width == 4
    with pytest.raises(TaskError, match="web requests cannot set"):
        make_task(task, web=True)


def test_a_family_without_own_code_says_so(own_task):
    error_text = problem(own_task, overrides={"learn.optimizer": {"type": "my_net.py:Net"}})
    assert "takes no own code" in error_text


def test_a_plugin_class_of_a_file_is_a_plugin(own_task, tmp_path):
    (tmp_path / "my_net.py").write_text(
        "from pydantic import PositiveInt\n"
        "from kinemill.task.plugins import Model\n\n\n"
        "class Net(Model):\n"
        "    width: PositiveInt = 4\n\n"
        "    def build(self, inputs, outputs, history):\n"
        "        return (inputs, outputs, history, self.width)\n"
    )
    assert own_task().learn.model.build(1, 2, 3) == (1, 2, 3, 8)
    assert "greater than 0" in problem(own_task, "{type: 'my_net.py:Net', width: 0}")


def test_name_of_a_check_that_exists_is_refused(own_task):
    check = {"validate.checks": {"limits": "my_net.py:huber"}}
    assert "'limits' is the name of a physical check" in problem(own_task, overrides=check)
    word = {"validate.checks": {"own": {"type": "limits"}}}
    assert "expected `file.py:name`" in problem(own_task, overrides=word)


def test_the_example_uses_every_place():
    path = ROOT / "examples" / "own_code" / "rod.yaml"
    task = load_task(path)
    error_text = [
        task.learn.model,
        task.learn.loss,
        task.learn.features,
        task.learn.coordinates,
        *task.augment,
        *task.validation.checks.values(),
    ]
    assert len({error.type for error in error_text}) == 6
    from jsonschema import Draft202012Validator

    schema = Draft202012Validator(task_schema())
    assert not list(schema.iter_errors(yaml.safe_load(path.read_text())))


def test_overrides_carry_own_code_to_a_copy_of_the_task_file(own_task, tmp_path):
    """A search trains from a copy in its own folder; another model drops the code."""
    task, copy = own_task(), tmp_path / "copy" / "arm.yaml"
    copy.parent.mkdir()
    copy.write_text(task.path.read_text())
    with pytest.raises(TaskError, match="there is no file"):
        load_task(copy)
    code = code_of(task)
    assert code == {"learn.model": {"type": "my_net.py:Net", "source": NET}}
    assert load_task(copy, code).part("learn") == task.part("learn")
    changed_type = load_task(copy, {**code, "learn.model.type": "gru", "learn.model.layers": 2})
    assert (changed_type.learn.model.type, changed_type.learn.model.layers) == ("gru", 2)
