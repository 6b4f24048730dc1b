import json
from pathlib import Path

import pytest

import kinemill.api as km
from kinemill.api.models import named_model
from kinemill.errors import BadInput
from kinemill.register import start_of
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.train import load_model
from kinemill.train.checkpoint import open_checkpoint
from kinemill.train.kept_checkpoint import list_checkpoints, publish_checkpoint
from tests.api.conftest import in_rod_home, logs_of, rod, rod_home

__all__ = ["in_rod_home", "rod_home"]


def document():
    return rod().model_dump(mode="json", exclude_unset=True, by_alias=True)


@pytest.fixture
def checkpoint(in_rod_home) -> Path:
    task = document()
    task["learn"] |= {"keep": {"every": 5}, "save_every": 5, "eval_every": 5, "ema": 0.9}
    km.train(km.make_task(**task), logs_of(0, 1, 2, 3, 4), progress=False, track=False)
    listed = list_checkpoints(Home(in_rod_home), "rod")
    assert {entry.step for entry in listed} == {5, 10, 15, 20}
    errors = [entry.value for entry in listed]
    assert errors == sorted(errors)
    assert listed[0].monitor.startswith("validation/")
    return Path(next(entry.folder for entry in listed if entry.step == 10))


def test_checkpoint_of_a_step_is_evaluated_and_started_from_with_other_settings(
    in_rod_home, checkpoint, tmp_path, monkeypatch
):
    home = Home(in_rod_home)
    module = load_model(home.root / publish_checkpoint(home, checkpoint).ref.path)
    average = open_checkpoint(checkpoint)[0]["average"]
    assert all((module.state_dict()[name] == value).all() for name, value in average.items())
    file = tmp_path / "rod.yaml"
    file.write_text(json.dumps(document()))
    exported, task = named_model(str(file), checkpoint)
    assert (exported / "rollout.onnx").is_file()
    measured = km.evaluate(exported, logs_of(7), task=task, horizon=5, examples=0, to=tmp_path)
    assert measured.nrmse > 0.0
    monkeypatch.chdir(checkpoint.parent)
    changed = load_task(file, {"learn.start_from": checkpoint.name, "learn.optimizer.lr": 0.1})
    start = start_of(changed, home)
    assert start
    assert (Path(start.folder) / "weights.safetensors").is_file()


def test_checkpoint_without_its_description_is_refused(in_rod_home, checkpoint):
    (checkpoint.parent / "model.json").unlink()
    with pytest.raises(BadInput, match=r"has no model\.json; expected a checkpoint of a training"):
        publish_checkpoint(Home(in_rod_home), checkpoint)
