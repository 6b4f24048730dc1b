"""Derived states: exported files estimate velocities from measured positions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from kinemill.errors import BadInput
from kinemill.runtime import load
from kinemill.runtime.self_test import verify
from kinemill.task.document import Task
from kinemill.train.data import make_windows, window_weights
from kinemill.train.estimator import estimator_weights, known_rows
from kinemill.train.layout import Layout, layout_of
from kinemill.train.scaling import scale_of
from kinemill.train.step import make_step
from kinemill.verify.exported_dynamics import ExportedDynamics
from kinemill.verify.nan_propagation import propagate_nan
from tests.export.conftest import published
from tests.train.conftest import packed as packed_fixture
from tests.train.conftest import pendulum_task

pytestmark = pytest.mark.ci

packed = packed_fixture  # the fixture, under its name


def position_task(**learn) -> Task:
    raw = pendulum_task(**learn).model_dump(mode="json", by_alias=True)
    velocity = {"role": "state", "unit": "rad/s", "derived": "derivative", "of": "angle"}
    return Task.model_validate(raw | {"channels": raw["channels"] | {"velocity": velocity}})


def make(packed, model: dict, history: int, **learn):
    torch.manual_seed(2)
    task = position_task(model=model, history=history, **learn)
    layout = layout_of(task)
    return make_step(task.learn.model, layout, scale_of(packed, layout)).eval()


@pytest.fixture(scope="module")
def mlp_folder(packed, tmp_path_factory):
    """Return the files of an MLP, which no test may change: an export takes 1.5 s."""
    return published(make(packed, *CASES[0][:2]), tmp_path_factory.mktemp("mlp"))


@pytest.fixture(scope="module")
def gru_folder(packed, tmp_path_factory):
    return published(make(packed, *CASES[1][:2]), tmp_path_factory.mktemp("gru"))


def windows(packed, rows: int, horizon: int, count: int = 9):
    starts = packed.window_starts("validation", rows + horizon)[::12][:count]
    values = packed.values[starts[:, None] + np.arange(rows + horizon)]
    return values[:, :rows, :2], values[:, : rows - 1, 2:], values[:, rows - 1 : -1, 2:]


ALPHA = {"alpha": {"relation": "derivative", "of": "velocity"}}
CASES = [
    ({"type": "mlp"}, 1, {}),
    ({"type": "gru", "hidden_size": 6}, 15, {}),
    *(
        pytest.param(*case, marks=pytest.mark.ci)
        for case in (
            ({"type": "mlp", "hidden_sizes": [8]}, 4, {"window": "sliding"}),
            ({"type": "rigid_body", "delay": 1, "observer": True}, 5, {"outputs": ALPHA}),
        )
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "history", "learn"), CASES, ids=str)
def test_positions_alone_are_what_a_rollout_needs(
    packed, model, history, learn, tmp_path, mlp_folder, gru_folder
):
    step = make(packed, model, history, **learn)
    written = {"mlp": mlp_folder, "gru": gru_folder} if not learn else {}
    simulator = load(written.get(model["type"]) or published(step, tmp_path))
    assert simulator.history == max(history, 11)
    states, past, actions = windows(packed, simulator.history, 6)
    predicted = simulator.rollout(states[..., :1], past, actions)
    anything = states.copy()
    anything[..., 1] = 1e3
    assert np.array_equal(simulator.rollout(anything, past, actions), predicted)
    with torch.no_grad():
        recorded = step.estimate_history(torch.from_numpy(states), torch.from_numpy(past))
        expected = step.rollout(*recorded, torch.from_numpy(actions)).numpy()
    assert np.abs(predicted - expected).max() < 1e-4
    # Step by step, from the estimate.
    carry, state = simulator.warm_up(states[..., :1], past), simulator.estimate(states)[:, -1]
    for k in range(actions.shape[1]):
        state, *carry = simulator.step(state, actions[:, k], *carry)
        assert np.abs(state - predicted[:, k]).max() < 1e-5


def test_the_estimate_is_causal_and_close_to_the_truth(packed, mlp_folder):
    simulator = load(mlp_folder)
    states, *_ = windows(packed, simulator.history, 6, 50)
    estimated = simulator.estimate(states[..., :1])
    assert np.array_equal(estimated[..., 0], states[..., 0])
    error = (estimated - states)[:, -1, 1]
    assert np.sqrt(np.mean(error**2)) < 0.01 * states[:, -1, 1].std()
    # Nothing after the present can have been looked at: there is nothing in the input.
    assert estimated.shape == states.shape


def test_an_estimate_across_the_end_of_the_circle_has_no_jump(packed, mlp_folder):
    simulator = load(mlp_folder)
    states, *_ = windows(packed, simulator.history, 6)
    turned = states.copy()
    turned[..., 0] = (states[..., 0] + 2.0 + np.pi) % (2 * np.pi) - np.pi
    moved = simulator.estimate(turned)[..., 1] - simulator.estimate(states)[..., 1]
    assert np.abs(moved).max() < 1e-3


def test_a_robot_at_rest_has_the_velocity_zero_and_one_that_moves_its_own(mlp_folder):
    simulator = load(mlp_folder)
    rest, _ = simulator.hold({"angle": 0.4})
    assert np.array_equal(simulator.estimate(rest)[..., 1], 0 * rest[..., 1])
    motion, _ = simulator.hold({"angle": 0.4, "velocity": 1.5})
    assert motion[0, -1, 0] == pytest.approx(0.4)
    assert simulator.estimate(motion)[0, -1, 1] == pytest.approx(1.5, rel=0.05)
    with pytest.raises(BadInput, match="initial velocity: is estimated from the history of angle"):
        simulator.move(rest, {"velocity": 1.0})


def test_online_history_takes_positions_alone(packed, mlp_folder):
    simulator = load(mlp_folder)
    states, past, actions = windows(packed, simulator.history, 6, 1)
    for row in range(simulator.history - 1):
        simulator.observe(states[0, row, :1], past[0, row])
    simulator.observe(states[0, -1, :1])
    assert np.array_equal(simulator.predict(actions), simulator.rollout(states, past, actions))


def test_the_interface_tells_what_is_estimated(mlp_folder):
    document = yaml.safe_load((mlp_folder / "io.yaml").read_text())
    assert document["derived"] == {"velocity": "angle"}
    simulator = load(mlp_folder)
    assert simulator.interface.measured == ("angle",)
    tensors = {output["name"]: output for output in document["files"]["rollout.onnx"]["outputs"]}
    assert tensors["estimated_states"]["shape"] == ["batch", 11, 2]


def test_every_check_of_the_files_passes(gru_folder):
    exported = ExportedDynamics(gru_folder)
    assert [file for file in exported.check_files(exported.models()) if not file.passed] == []
    probes = exported.make_probes()
    assert [check for check in exported.check_alone(probes[0]) if not check.passed] == []
    assert [check for check in exported.check_contract(probes) if not check.passed] == []
    assert all(check.passed for check in propagate_nan(exported.nan_calls(probes[0])))
    assert verify(gru_folder, calls=3)["passed"]


@pytest.mark.ci
def test_members_of_an_ensemble_start_from_one_estimate(packed, tmp_path):
    from kinemill.train.build import assemble

    task = position_task(model={"type": "mlp", "hidden_sizes": [8]}, history=2, ensemble=2)
    layout = layout_of(task)
    step = assemble(task.learn, layout, scale_of(packed, layout)).eval()
    simulator = load(published(step, tmp_path))
    states, past, actions = windows(packed, simulator.history, 4)
    with torch.no_grad():
        recorded = step.estimate_history(torch.from_numpy(states), torch.from_numpy(past))
        expected = step.rollout(*recorded, torch.from_numpy(actions)).numpy()
    assert np.abs(simulator.rollout(states[..., :1], past, actions) - expected).max() < 1e-4


def test_c_has_no_estimate_and_says_so(packed, mlp_folder, tmp_path):
    with pytest.raises(BadInput, match="velocity is estimated from measurements"):
        published(make(packed, {"type": "mlp"}, 1), tmp_path, c99=True)
    with pytest.raises(BadInput, match="velocity is estimated from measurements"):
        load(mlp_folder, engine="c")


def test_float64_files_estimate_in_float64(packed, tmp_path):
    folder = published(make(packed, {"type": "mlp"}, 1), tmp_path, precision="float64")
    simulator = load(folder)
    states, *_ = windows(packed, simulator.history, 3)
    assert simulator.estimate(states.astype(np.float64)).dtype == np.float64


def test_a_layout_with_derived_states_survives_json(packed):
    layout = layout_of(position_task())
    assert layout.derived == (("velocity", "angle"),)
    restored = Layout.from_json(layout.to_json())
    assert (restored.derived, known_rows(restored)) == (layout.derived, 11)


@pytest.mark.parametrize("history", [1, 4, 15])
def test_a_model_that_remembers_rows_is_trained_from_estimates(packed, history):
    layout = layout_of(position_task(history=history))
    windows = make_windows(packed, "train", layout, 5)
    chosen = torch.tensor([0, 60, 200])
    states, _, actions, truth = windows.gather(chosen)
    for row, start in enumerate(windows.starts[chosen].tolist()):
        rows = packed.values[start : start + history + 5]
        assert np.array_equal(truth[row].numpy(), rows[history:, :2])
        assert np.array_equal(actions[row].numpy(), rows[history - 1 : -1, 2:])
        assert np.array_equal(states[row, :, 0].numpy(), rows[:history, 0])
        assert np.array_equal(states[row, :, 1].numpy(), rows[:history, 1]) == (history == 1)
        present = start + history  # nothing from here on changes the estimate
        recorded = packed.values[present - known_rows(layout) : present, :2].copy()
        if history > 1:
            recorded[:, 1] = 0.0
            step = make(packed, {"type": "mlp"}, history)
            expected = step.estimator(torch.from_numpy(recorded)[None])[0, -history:]
            assert torch.allclose(states[row], expected, atol=1e-6)
    weights = window_weights(
        replace(packed, episodes=[replace(episode, weight=2.0) for episode in packed.episodes]),
        layout,
        5,
    )
    assert len(weights) == len(windows)


def test_logs_too_short_to_estimate_from_are_an_error(packed):
    short = [replace(episode, stop=episode.start + 8) for episode in packed.episodes]
    with pytest.raises(BadInput, match=r"no episode has 11 rows.*velocity is estimated"):
        estimator_weights(replace(packed, episodes=short), layout_of(position_task()))
