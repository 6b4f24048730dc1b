"""`kinemill model evaluate` and `simulate` on a pendulum, with an exported model in a folder."""

import json
import shutil

import onnx
import polars as pl
import pytest
import torch

from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.export.bundle import seal
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.task import load_task
from kinemill.train.layout import layout_of
from kinemill.train.step import make_step
from tests.cli.conftest import TASK, bytes_under

IGNORED = "learn:", "validate: {saturated: {on_fault: warn}}\nlearn:"
CHANGED = "model: {type: mlp}", "model: {type: gru, hidden_size: 8}, history: 5"
OUTPUTS = {"evaluation.json", "report.html"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A GRU with random weights for the pendulum's task."""
    path = tmp_path_factory.mktemp("tasks") / "swing.yaml"
    path.write_text(TASK.replace(*CHANGED))
    task = load_task(path)
    torch.manual_seed(0)
    layout = layout_of(task)
    scale = {
        "state_std": torch.ones(2),
        "feature_mean": torch.zeros(layout.features),
        "feature_std": torch.ones(layout.features),
        "output_mean": torch.zeros(2),
        "output_std": torch.tensor([0.02, 0.1]),
    }
    step = make_step(task.learn.model, layout, scale).eval()
    about = {
        "task": task.name,
        "dataset": "d" * 64,
        "units": {name: task.channels[name].unit for name in task.columns},
        "limits": {name: task.channels[name].limits for name in task.columns},
    }
    folder = tmp_path_factory.mktemp("model")
    write_model(step, describe(about, step), folder)
    return folder


def learned_from(dataset, exported, folder):
    """Copy a model as if it had learned from another dataset."""
    folder.mkdir()
    for name in ("step.onnx", "rollout.onnx"):
        model = onnx.load(exported / name)
        for item in model.metadata_props:
            if item.key == "dataset":
                item.value = json.dumps(dataset)
        onnx.save(model, folder / name)
    shutil.copy(exported / "io.yaml", folder)
    seal(folder)
    return folder


@pytest.fixture
def task(swing):
    return swing(*CHANGED)


@pytest.fixture
def model(task, exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "model")


@pytest.fixture
def logs(log):
    log("a.csv")
    return log("b.csv", 1.0).parent


def evaluate(kinemill, model, logs, out, *more):
    options = ("--model", model, "--logs", logs, "--out", out, "--json")
    return kinemill("model", "evaluate", "swing", *options, *more)


@pytest.mark.ci
def test_any_logs_and_any_model_give_numbers_plots_and_examples(
    kinemill, model, logs, home, tmp_path
):
    previous = bytes_under(home.root)
    out = tmp_path / "out"
    result = evaluate(kinemill, model, logs, out, "--examples", "2")
    assert {path.name for path in out.iterdir()} == OUTPUTS
    assert bytes_under(home.root) == previous  # logs are read aside
    assert result == json.loads((out / "evaluation.json").read_text()) | {"folder": str(out)}
    # 600 rows each, windows of 5 + 25 from every fifth row.
    files = {"path": "", "accepted": ["a.csv", "b.csv"], "refused": []}
    assert result["logs"] | {"path": ""} == {**files, "episodes": 2, "rows": 1200}
    assert result["windows"]["count"] == 2 * 115
    angle = result["accuracy"]["model"]["channels"]["angle"]
    for what in ("by_step", "mae_by_step", "mse_by_step"):
        assert len(angle[what]) == 25
    assert angle["rmse"] == pytest.approx(angle["by_step"][-1])
    assert angle["mse"] == pytest.approx(angle["rmse"] ** 2)
    assert angle["mae"] == pytest.approx(angle["mae_by_step"][-1])
    assert result["analysis"]["free_run"]["model"]["steps"] == 2 * 595
    assert set(result["metrics"]["nrmse"]) == {"model", "persistence"}
    assert "linear models are omitted" in result["notes"][0]
    page = (out / "report.html").read_text()
    assert "http" not in page
    assert "<script" not in page


@pytest.mark.slow
def test_with_its_dataset_at_hand_the_linear_models_are_fitted_on_the_training_split(
    kinemill, task, home, evaluated, logs, exported, tmp_path
):
    dataset = dataset_stage.run(task, home, evaluated(task, logs).ref)
    model = learned_from(dataset.ref.digest, exported, tmp_path / "learned")
    result = evaluate(kinemill, model, logs, tmp_path / "out")
    assert {"model", "persistence", "constant_velocity", "linear"} <= set(
        result["metrics"]["nrmse"]
    )
    assert result["notes"] == []
    # Two sinusoids in time: linear in five rows of history, to the nine digits of the log.
    assert result["metrics"]["test"]["angle"]["rmse"]["linear"] < 1e-3


def test_what_cannot_be_evaluated_says_why(kinemill, model, logs, log, task, tmp_path, swing):
    out = tmp_path / "out"
    with pytest.raises(BadInput, match="name a log or a folder of logs"):
        evaluate(kinemill, model, tmp_path / "nowhere", out)
    with pytest.raises(BadInput, match=r"has 600 rows; expected at least .* 605; use a smaller"):
        evaluate(kinemill, model, logs, out, "--horizon", "600")
    with pytest.raises(BadInput, match=r"swing: has no version yet; kinemill run swing"):
        kinemill("model", "evaluate", "swing@champion", "--logs", logs, "--out", out)
    with pytest.raises(BadInput, match="names a version, and --model"):
        kinemill("model", "evaluate", "swing:3", "--model", model, "--logs", logs, "--out", out)
    swing("dt: 0.01", "dt: 0.02")
    with pytest.raises(BadInput, match=r"differs from the current task: dt 0.01, not 0.02"):
        evaluate(kinemill, model, logs, out)
    assert not out.exists()


def simulate(kinemill, model, *more):
    return kinemill("model", "simulate", "swing", "--model", model, "--json", *more)


def test_a_log_is_simulated_from_its_first_known_rows(kinemill, model, logs, tmp_path):
    csv_file, parquet = tmp_path / "s.csv", tmp_path / "s.parquet"
    result = simulate(kinemill, model, "--from", logs / "a.csv", "--steps", "20", "--to", csv_file)
    simulate(kinemill, model, "--from", logs / "a.csv", "--steps", "20", "--to", parquet)
    rows = pl.read_csv(csv_file)
    assert rows.columns == ["time_s", "angle", "velocity", "torque", *MEASURED]
    assert rows.height == result["steps"] + 1 == 21
    assert result["seconds"] == pytest.approx(0.2)
    # The present is row 4 of 1.5 sin(3 t); 20 steps later it is 1.5 sin(0.72).
    assert rows["angle"][0] == rows["angle_measured"][0] == pytest.approx(0.17957, abs=1e-4)
    assert rows["angle_measured"][20] == pytest.approx(0.98908, abs=1e-4)
    assert rows["torque"][20] is None
    other = pl.read_parquet(parquet)
    assert (rows["velocity"] - other["velocity"]).abs().max() < 1e-12


MEASURED = ["angle_measured", "velocity_measured"]


def test_actions_of_a_file_act_on_a_state_that_stood_still(kinemill, model, tmp_path):
    actions = tmp_path / "actions.csv"
    actions.write_text("torque\n" + "1.0\n" * 7)
    result = simulate(kinemill, model, "--actions", actions, "--state", "angle=0.5")
    assert len(result["rows"]) == 8
    assert result["rows"][0] == {"time_s": 0.0, "angle": 0.5, "velocity": 0.0, "torque": 1.0}
    picture = tmp_path / "s.png"
    simulate(kinemill, model, "--actions", actions, "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_state_given_beside_a_log_moves_the_present(kinemill, model, logs):
    values = ["--from", logs / "a.csv", "--steps", "1"]
    result = simulate(kinemill, model, *values, "--state", "velocity=2")
    assert result["rows"][0]["velocity"] == 2.0
    assert result["rows"][0]["angle"] == pytest.approx(0.17957, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"a source \(--from\) and actions: neither is set; expected one of them"),
        (["--actions", "a.csv", "--state", "angel=1"], r"did you mean 'angle'\?"),
        (["--actions", "a.csv", "--state", "angle"], "holds no '='; expected NAME=VALUE"),
        (["--actions", "a.csv", "--state", "angle=nan"], "angle: is nan"),
        (["--actions", "a.csv", "--steps", "9"], "there are actions for only 2 steps"),
        (["--actions", "a.csv", "--to", "x.txt"], r"expected .csv or .parquet"),
        (["--actions", "a.csv", "--row", "3"], r"row: requires a source \(--from\)"),
        (["--from", "nothing"], "nothing: is no recording of swing"),
    ],
)
def test_what_cannot_be_simulated_says_why(
    arguments, message, kinemill, model, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("torque\n1\n2\n")
    with pytest.raises(BadInput, match=message):
        simulate(kinemill, model, *arguments)


def coast(rows):
    """A pendulum without gravity: it turns at 0.2 rad/s all the time."""
    rows[:, 1], rows[:, 2] = 0.2 * rows[:, 0], 0.2


def test_a_channel_that_never_moves_is_named_with_its_error(kinemill, model, log, swing, tmp_path):
    swing(*IGNORED)  # a velocity that stays the same looks like a sensor at the end of its range
    log("a.csv", spoil=coast)
    logs, out = log("b.csv", 1.0, spoil=coast).parent, tmp_path / "out"
    result = evaluate(kinemill, model, logs, out)
    note = "at rest in the training rows, left out of nrmse"
    assert {name: line["note"] for name, line in result["metrics"]["test"].items()} == {
        "angle": "",
        "velocity": note,
    }
    displayed = kinemill(
        "model", "evaluate", "swing", "--model", model, "--logs", logs, "--out", out
    )
    assert f"velocity: {note}\n" in displayed
    assert "angle: constant" not in displayed
    assert f"<b>velocity</b> is {note}." in (out / "report.html").read_text()
