"""Where the numbers of a training go, and that none of these places can end it."""

import os
from types import SimpleNamespace

import pytest

from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.task.trackers import TRACKERS, Training
from kinemill.tracking.jsonl import read_points
from kinemill.tracking.metric_logger import logged
from kinemill.tracking.throughput import Pace, Paced, Throttle, clock, format_pace

TASK = """\
task: arm
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad}
  torque: {role: action, unit: N*m}
learn: {type: dynamics, model: {type: mlp}, batch_size: 32}
track: []
"""


class Listener(NullReporter):
    """Remembers what it was told."""

    def __init__(self):
        self.said, self.steps, self.texts, self.notes = [], [], {}, []

    def log_message(self, message):
        self.said.append(message)

    def log_metrics(self, metrics, step):
        self.steps.append(step)

    def log_text(self, name, text):
        self.texts[name] = text

    def advance(self, stage, done, total, note=""):
        self.notes.append(note)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "arm.yaml"
    path.write_text(TASK)
    return load_task(path)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "runs" / "arm" / ("ab" * 16)
    made.mkdir(parents=True)
    return made


def train(task, folder, listener, steps=(10, 20)):
    with logged(task, folder, (listener, listener)) as (tracker, progress):
        tracker.log_params({"learn.seed": 0})
        tracker.log_text("config", "task: arm\n")
        for step in steps:
            tracker.log_metrics({"train/loss": 1.0 / step, "lr": 0.001}, step)
            progress.advance("model", step, 100, "loss 0.1")
        tracker.flush()


# wandb starts a process.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.ci] * (name == "wandb")) for name in TRACKERS]
)
def test_every_tracker_takes_a_training_and_writes_under_its_folder_alone(name, folder, tmp_path):
    said, previous = [], {path for path in tmp_path.rglob("*") if folder not in path.parents}
    tracker = TRACKERS[name](type=name).open(Training("arm", folder.name, folder, said.append))
    tracker.log_params({"learn.seed": 0})
    tracker.log_text("config", "task: arm\n")
    for step in (10, 20):
        tracker.log_metrics({"train/loss": 1.0 / step}, step)
    tracker.flush()
    tracker.close(ended_well=True)
    assert any(path.is_file() and path.stat().st_size for path in (folder / name).rglob("*"))
    assert {path for path in tmp_path.rglob("*") if folder not in path.parents} == previous
    assert said == []


def test_tensorboard_shows_scalars_and_texts_and_no_step_of_an_attempt_before(task, folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracked = task.model_copy(update={"track": [TRACKERS["tensorboard"](type="tensorboard")]})
    train(tracked, folder, Listener(), (10, 20, 30))
    for file in (folder / "tensorboard").iterdir():
        file.rename(file.with_name(file.name.replace("tfevents.1", "tfevents.0")))  # the older one
    train(tracked, folder, Listener(), (20, 40))
    displayed = EventAccumulator(str(folder / "tensorboard"))
    displayed.Reload()
    assert [(Scalar.step, Scalar.value) for Scalar in displayed.Scalars("train/loss")] == [
        (10, pytest.approx(0.1)), (20, pytest.approx(0.05)), (40, pytest.approx(0.025)),
    ]  # fmt: skip
    text = displayed.Tensors("config/text_summary")[-1]
    assert text.tensor_proto.string_val[0] == b"    task: arm"


class Broken:
    """Settings of a tracker that fails at one of its methods."""

    type = "broken"

    def __init__(self, at):
        self.at = at

    def open(self, training):
        self._fail("open")
        return self

    def __getattr__(self, name):
        return lambda *_, **__: self._fail(name)

    def _fail(self, where):
        if where == self.at:
            raise RuntimeError(f"no {where} today")


@pytest.mark.parametrize("at", ["open", "log_params", "log_text", "log_metrics", "flush", "close"])
def test_a_tracker_that_breaks_says_so_once_and_the_training_goes_on(task, folder, at):
    listener = Listener()
    train(task.model_copy(update={"track": [Broken(at)]}), folder, listener, (10, 20, 30))
    assert listener.said == [f"broken is disabled: RuntimeError: no {at} today"]
    assert listener.steps == [10, 20, 30]
    assert listener.texts == {"config": "task: arm\n"}
    assert [point["step"] for point in read_points(folder / "metrics.jsonl")] == [10, 20, 30]


def test_a_file_that_cannot_be_opened_does_not_end_the_training(task, folder):
    (folder / "metrics.jsonl").mkdir()
    listener = Listener()
    train(task, folder, listener)
    assert len(listener.said) == 1
    assert "metrics.jsonl is disabled: IsADirectoryError" in listener.said[0]
    assert listener.steps == [10, 20]


def test_an_error_of_the_training_closes_all_trackers_and_goes_on_up(task, folder):
    ended = []

    class Recorded(Broken):
        def close(self, ended_well):
            ended.append(ended_well)

    tracked = task.model_copy(update={"track": [Recorded("never")]})
    with (
        pytest.raises(ValueError, match="the training"),
        logged(tracked, folder, (Listener(), Listener())),
    ):
        raise ValueError("the training")
    train(tracked, folder, Listener())
    assert ended == [False, True]


def test_a_folder_that_wandb_cannot_write_is_told_instead_of_left_for_the_temporary_one(
    task, folder
):
    (folder / "wandb").write_text("a file where its folder should be")
    listener = Listener()
    train(task.model_copy(update={"track": [TRACKERS["wandb"](type="wandb")]}), folder, listener)
    assert len(listener.said) == 1
    assert "wandb is disabled: FileExistsError" in listener.said[0]


@pytest.mark.ci
def test_wandb_without_a_key_is_kept_for_later_and_says_so(folder, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # where a key would be
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    said, online = [], TRACKERS["wandb"](type="wandb", mode="online", project="arms", name="one")
    tracker = online.open(Training("arm", folder.name, folder, said.append))
    tracker.log_metrics({"loss": 1.0}, 1)
    tracker.close(ended_well=True)
    assert len(said) == 1
    assert "wandb is offline (No API key configured" in said[0]
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1


def test_switching_trackers_is_no_other_training(task):
    from kinemill.store import ArtifactRef
    from kinemill.store.home import Home
    from kinemill.train import TrainingJob

    def key(track):
        tracked = task.model_copy(update={"track": track})
        return TrainingJob(
            tracked, Home(task.path.parent), ArtifactRef("a", "1" * 64), ArtifactRef("b", "2" * 64)
        ).folder

    assert key([]) == key([TRACKERS["tensorboard"](type="tensorboard")])


def test_pace_is_that_of_the_latest_reports_and_says_how_long_the_rest_takes():
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert format_pace(pace, 1000, 32) == ""
    pace.note(0)
    now[0] = 30.0  # compiling takes its time
    pace.note(10)
    for index in range(20):
        now[0] = 40.0 + index
        pace.note(100 + 10 * index)
    assert pace.rate == pytest.approx(10.0)
    assert format_pace(pace, 1000, 32) == "10 steps/s, 320 windows/s, 1:11 left"
    now[0] = 61.0
    pace.note(50)  # back to a checkpoint
    assert format_pace(pace, 1000) == ""
    assert [clock(seconds) for seconds in (7, 750, 3723)] == ["0:07", "12:30", "1:02:03"]


def test_a_line_of_progress_is_due_each_10_s_or_10_percent_and_at_the_end():
    now = [0.0]
    throttle = Throttle(lambda: now[0])

    def overdue(at, done, stage="model"):
        now[0] = at
        return throttle.is_due(stage, done, 1000)

    assert not overdue(0.0, 1)
    assert [overdue(at, at) for at in range(1, 41)].count(True) == 4  # 40 s, 4 %
    assert overdue(42.0, 150)  # 11 % more
    assert not overdue(42.5, 350)  # half a second after the last one
    assert overdue(44.0, 350)
    assert not overdue(44.5, 10, "export")  # another stage begins to count
    assert overdue(46.0, 1000, "export")


def test_progress_tells_pace_and_time_left_before_the_errors(monkeypatch):
    listener, times = Listener(), iter([0.0, 2.0])
    monkeypatch.setattr("kinemill.tracking.throughput.time", SimpleNamespace(monotonic=None))
    progress = Paced(listener, 32)
    progress._pace = Pace(clock=lambda: next(times))
    progress.advance("model", 100, 400, "train/loss 0.5")
    progress.advance("model", 200, 400, "train/loss 0.4")
    assert listener.notes == [
        "train/loss 0.5",
        "50 steps/s, 1,600 windows/s, 0:04 left; train/loss 0.4",
    ]
