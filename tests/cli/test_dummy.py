"""Settings of made-up logs: read, refused, and each with logs of its own."""

from pathlib import Path

import pytest

from kinemill.cli.dummy import prepare
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.task import load_task, parse_overrides


def test_a_robot_of_some_dimensions_gets_a_task_and_logs_to_run_it_with(home):
    settings = ["states=3", "actions=2", "image=[16,24]", "instructions=[go]", "samples=120"]
    path, folder, spelled = prepare("proto", [*settings, "episodes=4"])
    task = load_task(path, parse_overrides(spelled))
    assert (task.name, len(task.states), len(task.actions)) == ("proto", 6, 2)
    assert task.channels["camera"].shape == (16, 24, 3)
    report = ingest.run(task, home, folder)
    assert [entry["rows"] for entry in report.files] == [120] * 4
    assert Path(path).is_relative_to(home.root / "dummy")


def test_other_settings_make_other_logs_and_leave_those_from_before_out(home, monkeypatch):
    result = []
    for settings in (["samples=120"], ["samples=150", "seed=1"]):
        monkeypatch.setenv("KINEMILL_HOME", str(home.root))
        _, folder, spelled = prepare("cart_pole", settings)
        report = ingest.run(load_task("cart_pole", parse_overrides(spelled)), home, folder)
        result.append({entry["rows"] for entry in report.files if entry["outcome"] == "episodes"})
        assert report.artifact.summary["recordings"] == 8
    assert result == [{120}, {150}]


@pytest.mark.parametrize(
    ("task", "setting", "said"),
    [
        ("cart_pole", "sample=3", "did you mean 'samples'"),
        ("cart_pole", "episodes=2", "greater than or equal to 3"),
        ("cart_pole", "image=3", "valid tuple"),
        ("cart_pole", "states=3", "already has channels"),
        ("cart_poll", "seed=3", "did you mean 'cart_pole'"),
    ],
)
def test_what_cannot_be_made_up_is_refused(home, task, setting, said):
    with pytest.raises(BadInput, match=said):
        prepare(task, [setting])


def test_pictures_of_the_size_that_the_environment_has_are_taken(home, monkeypatch):
    monkeypatch.setenv("KINEMILL_HOME", str(home.root))
    _, folder, overrides = prepare("targets", ["image=[64,64]", "episodes=3"])
    assert len(list(folder.rglob("dummy-*.h5"))) == 3
    assert "environment=null" not in overrides


def test_without_pictures_of_that_size_in_the_environment_there_are_no_trials(
    home, monkeypatch, capsys
):
    monkeypatch.setenv("KINEMILL_HOME", str(home.root))
    _, _, overrides = prepare("targets", ["image=[32,32]", "episodes=3"])
    assert "environment=null" in overrides
    assert "channels.camera.shape=[32, 32, 3]" in overrides
    note = "no trials: the environment of targets gives camera in 64 x 64 pixels"
    assert note in capsys.readouterr().err
