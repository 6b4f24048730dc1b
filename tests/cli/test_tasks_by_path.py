"""A task that is run from a file outside the tasks folder is known by its name afterwards."""

import pytest

from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.task import load_task, remember_task
from tests.conftest import EXAMPLES, ROOT


def test_a_task_is_found_by_its_name_where_it_was_run(home, tmp_path, monkeypatch):
    source = (ROOT / "tests" / "tasks" / "buck_converter.yaml").read_text()
    path = tmp_path / "elsewhere" / "buck_converter.yaml"
    path.parent.mkdir()
    path.write_text(source)
    with pytest.raises(BadInput, match="task 'buck_converter': unknown"):
        load_task("buck_converter")
    remember_task(home, load_task(path))
    assert load_task("buck_converter").path == path
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "another"))
    with pytest.raises(BadInput, match="unknown"):
        load_task("buck_converter")
    monkeypatch.setenv("KINEMILL_HOME", str(home.root))
    path.unlink()
    with pytest.raises(BadInput, match="which no longer exists; use the path"):
        load_task("buck_converter")


def test_a_task_of_the_tasks_folder_comes_first(home, tmp_path):
    path = tmp_path / "cart_pole.yaml"
    path.write_text((EXAMPLES / "cart_pole.yaml").read_text())
    remember_task(home, load_task(path))
    assert load_task("cart_pole").path == EXAMPLES / "cart_pole.yaml"
    remember_task(home, load_task("pendulum"))
    assert not Home.resolve().task_file("pendulum").exists()
