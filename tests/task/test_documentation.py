from pathlib import Path

from pydantic import BaseModel

from kinemill.task import CHECKS, ENCODINGS, load_task
from kinemill.task.environment import WRAPPERS
from kinemill.task.reinforcement import ALGORITHMS, RUNNERS
from tests.conftest import EXAMPLES, ROOT


def keys_of(model: BaseModel) -> set[str]:
    keys: set[str] = set()
    for name, field in type(model).model_fields.items():
        keys.add(field.alias or name)
        value = getattr(model, name)
        for inner in value.values() if isinstance(value, dict) else [value]:
            if isinstance(inner, BaseModel):
                keys |= keys_of(inner)
    return keys


def test_the_page_on_the_task_file_names_every_key():
    page = (ROOT / "docs" / "task-file.md").read_text()
    # A check is one new file and its test; `kinemill task show` shows it.
    of_checks = {key for name in CHECKS for key in {name, *CHECKS[name].model_fields}}
    task = load_task(Path(EXAMPLES / "cart_pole.yaml"))
    missing = [key for key in keys_of(task) - of_checks if key not in page]
    assert missing == []


def test_the_page_on_the_task_file_names_every_encoding_and_its_keys():
    page = (ROOT / "docs" / "task-file.md").read_text()
    expected = {key for name in ENCODINGS for key in {name, *ENCODINGS[name].model_fields}}
    assert [key for key in sorted(expected) if f"`{key}`" not in page] == []


def test_the_page_on_the_task_file_names_all_of_reinforcement():
    page = (ROOT / "docs" / "task-file.md").read_text()
    shipped = [load_task(Path(EXAMPLES / "cartpole_rl.yaml")).environment.trials]
    shipped += [load_task(Path(EXAMPLES / "cartpole_rl.yaml")).learn]
    expected = {key for one in shipped for key in keys_of(one)}
    for family in (ALGORITHMS, WRAPPERS, RUNNERS):
        expected |= {key for name in family for key in {name, *family[name].model_fields}}
    missing = [key for key in sorted(expected) if f"`{key}`" not in page and f".{key}`" not in page]
    assert missing == []
