"""Outputs from the log to the report: a pendulum with an accelerometer and a force sensor."""

import json

import numpy as np
import pytest
import torch
import yaml

from kinemill.augment import stage as augment
from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.windows import window_starts
from kinemill.export import stage as export
from kinemill.export.interface import describe
from kinemill.ingest import stage as ingest
from kinemill.runtime import load
from kinemill.store import open_ref
from kinemill.task import Task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.warm_start import described
from kinemill.validate import stage as validate
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.logs import read_logs
from kinemill.verify.output_errors import output_accuracy, output_lines, outputs_section
from kinemill.verify.report import page
from kinemill.verify.simulation import Start, simulate
from kinemill.verify.verifier import verify_files
from tests.verify.conftest import swing

QUIET = (NullReporter(), NullReporter())
NAMES = ["acceleration", "force"]


TASK = """
task: pendulum
dt: 0.02
channels:
  angle: {role: state, kind: angle, unit: rad}
  velocity: {role: state, unit: rad/s, derivative_of: angle}
  torque: {role: action, unit: N*m}
  acceleration: {role: output, unit: rad/s^2, derivative_of: velocity}
  force: {role: output, unit: N, source: {name: load, unit: mN}}
ingest: {min_file_age: 0}
validate: {min_steps: 20}
dataset: {validation: ["v*"], test: ["t*"]}
augment: [{type: gaussian_noise, std: {angle: 0.001}}]
learn: {type: dynamics, model: {type: mlp, hidden_sizes: [16]}, history: 2, horizon: 4, steps: 300,
  batch_size: 64, eval_every: 100, optimizer: {lr: 0.01}}
verify: {horizon: 10, stride: 2}
"""


def write_log(path, rows: np.ndarray, broken: int | None = None) -> None:
    angle, velocity, torque = rows.T
    acceleration = -9 * np.sin(angle) - 0.2 * velocity + torque
    load_cell = 1000.0 * (velocity**2 + 9 * np.cos(angle))
    table = np.stack([0.02 * np.arange(len(rows)), *rows.T, acceleration, load_cell], axis=1)
    if broken is not None:
        table[broken, 4] = np.nan
    header = "time,angle,velocity,torque,acceleration,load"
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt="%.9g")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Return the artifacts of every stage up to the exported model."""
    from kinemill.store.home import Home

    folder = tmp_path_factory.mktemp("outputs")
    home, logs, task = (
        Home(folder / "home"),
        folder / "logs",
        Task.model_validate(yaml.safe_load(TASK)),
    )
    logs.mkdir()
    for seed in range(4):
        write_log(logs / f"a{seed}.csv", swing(200, seed), broken=100 if seed == 0 else None)
    write_log(logs / "v.csv", swing(150, 50))
    write_log(logs / "t.csv", swing(300, 60))
    recordings = ingest.run(task, home, logs).artifact.ref
    episodes = validate.run(task, home, recordings).ref
    dataset = dataset_stage.run(task, home, episodes).ref
    training_set = augment.run(task, home, dataset).ref
    model = train.run(task, home, dataset, training_set, QUIET).ref
    exported = export.run(task, home, model, dataset).ref
    return task, home, logs, {
        "dataset": dataset, "training_set": training_set, "model": model, "onnx": exported
    }  # fmt: skip


def test_outputs_come_through_to_the_dataset_in_their_units(chain):
    _, home, _, refs = chain
    dataset = load_dataset(home, refs["dataset"])
    assert dataset.outputs == NAMES
    assert dataset.units["force"] == "N"
    assert dataset.columns == ["angle", "velocity", "torque"]
    angle, velocity, torque = dataset.values.astype(float).T
    acceleration = -9 * np.sin(angle) - 0.2 * velocity + torque
    assert np.abs(dataset.output_values[:, 0] - acceleration).max() < 1e-4
    force = velocity**2 + 9 * np.cos(angle)
    assert np.abs(dataset.output_values[:, 1] - force).max() < 1e-4


def test_a_row_whose_output_is_missing_ends_its_episode(chain):
    _, home, _, refs = chain
    dataset = load_dataset(home, refs["dataset"])
    pieces = [episode.rows for episode in dataset.episodes if episode.name == "a0.csv"]
    assert sorted(pieces) == [99, 100]


def test_copies_of_augmentations_keep_their_outputs(chain):
    _, home, _, refs = chain
    training = load_dataset(home, refs["training_set"])
    assert training.outputs == NAMES
    assert len(training.output_values) == len(training.values)
    originals = {episode.id: episode for episode in training.episodes if "+" not in episode.id}
    copies = [episode for episode in training.episodes if "+" in episode.id]
    assert len(copies) >= 3
    for copy in copies:
        original = originals[copy.id.partition("+")[0]]
        rows, source = slice(copy.start, copy.stop), slice(original.start, original.stop)
        assert np.array_equal(training.output_values[rows], training.output_values[source])


def test_the_description_of_a_model_lists_its_outputs(chain):
    _, home, _, refs = chain
    about = json.loads((open_ref(home, refs["model"]) / "model.json").read_text())
    assert about["layout"]["output_channels"] == NAMES
    assert about["units"]["acceleration"] == "rad/s^2"


def test_a_verified_model_has_its_outputs_beside_a_linear_map_and_the_mean(chain):
    task, home, _, refs = chain
    folder, dataset = open_ref(home, refs["onnx"]), load_dataset(home, refs["dataset"])
    source = open_ref(home, refs["model"])
    step = load_model(source)
    subject = DynamicsSubject(folder, step, dataset, task.verify, describe(described(source), step))
    document = verify_files(subject)
    assert [gate for gate in document.gates if not gate.passed] == []
    assert {"outputs parity", "finite outputs"} <= {gate.name for gate in document.gates}
    force = document.outputs["force"]
    assert force.unit == "N"
    assert force.rmse < force.linear < force.mean
    assert document.outputs["acceleration"].rmse < 0.1 * document.outputs["acceleration"].mean
    html = page(subject, document)
    assert "Outputs</h2>" in html
    assert "Linear map" in html


def test_the_error_of_an_output_is_that_of_its_own_row(chain):
    _, home, _, refs = chain
    dataset = load_dataset(home, refs["dataset"])
    simulator = load(open_ref(home, refs["onnx"]))
    accuracy = output_accuracy(simulator, dataset, dataset, "test", 3, 7)["force"]
    starts = window_starts(dataset, "test", simulator.history + 3, 7)
    errors = {0: [], 2: []}
    for start in starts.tolist():
        rows = dataset.values[start : start + simulator.history + 3]
        states, actions = rows[None, :, :2], rows[None, :, 2:]
        recorded = simulator.history
        outputs = simulator.rollout_outputs(
            states[:, :recorded], actions[:, : recorded - 1], actions[:, recorded - 1 : -1]
        )[1]
        for steps_ahead, result in errors.items():
            truth = dataset.output_values[start + recorded - 1 + steps_ahead, 1]
            result.append(float(outputs[0, steps_ahead, 1] - truth))
    assert accuracy.rmse == pytest.approx(np.sqrt(np.mean(np.square(errors[0]))), rel=1e-4)
    assert accuracy.rmse_horizon == pytest.approx(np.sqrt(np.mean(np.square(errors[2]))), rel=1e-4)
    mean = dataset.output_values[: sum(one.rows for one in dataset.of("train")), 1].mean()
    truth = dataset.output_values[starts + simulator.history - 1, 1]
    assert accuracy.mean == pytest.approx(np.sqrt(np.mean((truth - mean) ** 2)), rel=1e-4)


def test_logs_are_evaluated_with_their_outputs(chain):
    task, home, logs, refs = chain
    read = read_logs(task, home, logs / "t.csv")
    simulator = load(open_ref(home, refs["onnx"]), non_finite="pass")
    accuracy = output_accuracy(simulator, read.rows, None, "test", 10, 5)
    assert accuracy["acceleration"].rmse < 1.0
    assert np.isnan(accuracy["acceleration"].mean)
    heads, rows = output_lines(accuracy)
    assert [row[0] for row in rows] == NAMES
    assert len(heads) == len(rows[0])
    assert "0.18 s ahead" in outputs_section(accuracy, 0.02)


def test_a_simulation_has_a_column_for_each_output(chain):
    _, home, _, refs = chain
    simulator = load(open_ref(home, refs["onnx"]))
    states, past = simulator.hold({"angle": 0.3}, {"torque": 0.0})
    frame = simulate(simulator, [Start(states[0], past[0], np.zeros((5, 1)), None, "rest")])[0]
    assert frame.columns == ["time_s", "angle", "velocity", "torque", *NAMES]
    assert frame["acceleration"].null_count() == 1
    assert frame["acceleration"][0] == pytest.approx(-9 * np.sin(0.3), abs=0.6)


def test_references_can_read_outputs_out_too(chain):
    from kinemill.selection.references.fit import fit_references

    task, home, _, refs = chain
    dataset = load_dataset(home, refs["dataset"])
    references = fit_references(task, dataset, longest=1)
    linear = references.items["linear"].predictor.step
    rows = torch.from_numpy(np.array(dataset.values[:2], np.float64))[None, -linear.history :]
    with torch.no_grad():
        outputs = linear.readout(linear.readout_inputs(rows[..., :2], rows[..., 2:]))
    assert float(outputs[0, 0]) == pytest.approx(dataset.output_values[1, 0], abs=0.5)
