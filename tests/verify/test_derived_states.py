"""A pendulum with logs of only position and torque, and one with measured velocities."""

import numpy as np
import pytest
import yaml

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.export import stage as export
from kinemill.export.interface import describe
from kinemill.ingest import stage as ingest
from kinemill.runtime import load
from kinemill.selection.references.baselines import Persistence
from kinemill.selection.references.fit import fit_references
from kinemill.store import ArtifactRef, open_ref
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.warm_start import described
from kinemill.validate import stage as validate
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.estimated import EstimatedStart, estimated_starts
from kinemill.verify.verifier import verify_files
from tests.verify.conftest import swing

QUIET = (NullReporter(), NullReporter())
NOISE = 2e-4  # rad, of the encoder
MEASURED = {"role": "state", "unit": "rad/s", "derivative_of": "angle"}
DERIVED = {"role": "state", "unit": "rad/s", "derived": "derivative", "of": "angle"}


TASK = """
task: pendulum
dt: 0.02
channels:
  angle: {role: state, kind: angle, unit: rad}
  velocity: {}
  torque: {role: action, unit: N*m}
ingest: {min_file_age: 0}
validate: {min_steps: 20}
dataset: {validation: ["v*"], test: ["t*"]}
learn: {type: dynamics, model: {type: rigid_body, delay: 0}, history: 1, horizon: 10, steps: 20,
  outputs: {acceleration: {relation: derivative, of: velocity}}, eval_every: 20,
  gauss_newton: {windows: 128, iterations: 10}, optimizer: {lr: 0.0001}}
verify: {horizon: 25, stride: 5}
"""


def the_task(velocity: dict) -> Task:
    document = yaml.safe_load(TASK)
    document["channels"]["velocity"] = velocity
    return Task.model_validate(document)


def dataset_of(velocity: dict, folder) -> tuple[Task, Home, ArtifactRef]:
    """Ingest logs; they have a velocity only if the task measures it."""
    task, home, logs = the_task(velocity), Home(folder / "home"), folder / "logs"
    logs.mkdir(parents=True)
    names = [f"a{seed}" for seed in range(4)] + ["v", "t"]
    for seed, name in enumerate(names):
        rows = swing(400, seed)
        rows[:, 0] += NOISE * np.random.default_rng(seed).standard_normal(len(rows))
        columns = {"time": 0.02 * np.arange(400), "angle": rows[:, 0], "torque": rows[:, 2]}
        columns |= {} if task.derived else {"velocity": rows[:, 1]}
        table, header = np.stack(list(columns.values()), axis=1), ",".join(columns)
        np.savetxt(logs / f"{name}.csv", table, "%.9g", ",", header=header, comments="")
    episodes = validate.run(task, home, ingest.run(task, home, logs).artifact.ref).ref
    return task, home, dataset_stage.run(task, home, episodes).ref


@pytest.fixture(scope="module")
def derived(tmp_path_factory):
    """A task, its home, and the references of dataset, trained and exported model."""
    task, home, dataset = dataset_of(DERIVED, tmp_path_factory.mktemp("derived"))
    model = train.run(task, home, dataset, dataset, QUIET).ref
    exported = export.run(task, home, model, dataset).ref
    return task, home, {"dataset": dataset, "model": model, "onnx": exported}


def subject_of(task, home, refs) -> DynamicsSubject:
    source, dataset = open_ref(home, refs["model"]), load_dataset(home, refs["dataset"])
    step = load_model(source)
    about = describe(described(source), step)
    references = fit_references(task, dataset, longest=8)
    folder = open_ref(home, refs["onnx"])
    return DynamicsSubject(folder, step, dataset, task.verify, about, references=references)


def test_velocities_of_the_dataset_are_those_of_the_motion(tmp_path):
    derived, measured = (
        load_dataset(*dataset_of(velocity, tmp_path / name)[1:])
        for name, velocity in (("derived", DERIVED), ("measured", MEASURED))
    )
    assert derived.std[1] == pytest.approx(measured.std[1], rel=0.02)
    assert derived.columns == measured.columns
    # The log's velocity is that before the step of the angle: half a step off.
    ids = {episode.name: episode for episode in measured.episodes}
    for episode in derived.episodes:
        truth = measured.rows(ids[episode.name])[:, 1]
        between = np.append(0.5 * (truth[1:] + truth[:-1]), np.nan)[: episode.rows]
        error = derived.rows(episode)[:, 1] - np.concatenate([[np.nan], between])[: episode.rows]
        inner = error[10:-10]
        assert min(np.std(inner), np.std((derived.rows(episode)[:, 1] - truth)[10:-10])) < 0.1


@pytest.mark.slow
def test_positions_alone_are_enough_for_a_rigid_body(derived):
    document = verify_files(subject_of(*derived))
    assert [gate for gate in document.gates if not gate.passed] == []
    # With measured velocities 0.0004. From positions with noise of 2e-4 rad 0.021; a linear model
    # in sin and cos that starts from the same estimates has 0.030.
    assert document.accuracy["model"].nrmse < 0.03


def test_the_report_measures_with_velocities_that_a_robot_can_have(derived):
    _, home, refs = derived
    dataset = load_dataset(home, refs["dataset"])
    wrong = dataset.values.copy()
    wrong[:, 1] = 0.0  # what the filter that looks ahead says is not looked at
    simulator = load(open_ref(home, refs["onnx"]))
    assert simulator.interface.measured == ("angle",)
    rows, horizon = simulator.history, 10
    starts = dataset.window_starts("test", rows + horizon)[::20]
    index = starts[:, None] + np.arange(rows + horizon)
    for values in (dataset.values, wrong):
        part = values[index]
        rolled = simulator.rollout(
            part[:, :rows, :2], part[:, : rows - 1, 2:], part[:, rows - 1 : -1, 2:]
        )
        truth = dataset.values[index][:, rows:, 0]
        assert np.sqrt(np.mean((rolled[..., 0] - truth) ** 2)) < 0.1


def test_references_start_from_the_same_estimates(derived, step_folders):
    _, home, refs = derived
    simulator = load(open_ref(home, refs["onnx"]), non_finite="pass")
    (reference,) = estimated_starts({"persistence": Persistence()}, simulator).values()
    assert isinstance(reference, EstimatedStart)
    assert reference.history == simulator.history
    dataset = load_dataset(home, refs["dataset"])
    rows = dataset.values[: simulator.history + 3][None].astype(np.float64)
    recorded = rows[:, : simulator.history, :2]
    rolled = reference.rollout(
        recorded, rows[:, : simulator.history - 1, 2:], rows[:, simulator.history - 1 : -1, 2:]
    )
    assert np.allclose(rolled[:, 0], simulator.estimate(recorded)[:, -1], atol=1e-6)
    plain = load(step_folders["mlp"])
    assert isinstance(estimated_starts({"p": Persistence()}, plain)["p"], Persistence)
