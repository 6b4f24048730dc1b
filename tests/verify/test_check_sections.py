"""Checks of long rollouts, noise, zero input, symmetry, and timing."""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.runtime import load
from kinemill.task.verify import Energy, Symmetry, Verify
from kinemill.verify import latency as timing
from kinemill.verify.cold_start import cold_start
from kinemill.verify.contract_checks import invalid_calls, rejects_invalid_inputs
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.execution_providers import available_accelerators, open_on
from kinemill.verify.exported_dynamics import ExportedDynamics
from kinemill.verify.latency import Latency, latency, throughput
from kinemill.verify.parity import Pair, compare_long, try_comparison
from kinemill.verify.physics import asymmetry, energy_growth, mirror, sensitivity, stability
from kinemill.verify.report_sections import accuracy_card
from kinemill.verify.test_inputs import held_out_probe, long_probe, window_probe
from tests.conftest import COLD_START
from tests.export.conftest import random_step

UNIT = np.array([1.0, 1.0])


class Linear:
    """x[k+1] = M x[k] + b u[k]: two states, one action, no memory."""

    states, actions = ("angle", "velocity"), ("torque",)

    def __init__(self, matrix, b=(0.0, 0.0), limits=None, angles=()):
        self.matrix, self.b = np.array(matrix, dtype=float), np.array(b, dtype=float)
        self.limits = limits or {}
        self.units = {"angle": "rad", "velocity": "rad/s", "torque": "N*m"}
        self.interface = SimpleNamespace(
            states=self.states,
            actions=self.actions,
            angles=angles,
            is_angle=np.array([name in angles for name in self.states]),
            history=1,
            limits=self.limits,
        )

    def rollout(self, states, past_actions, actions):
        now, result = np.asarray(states, dtype=float)[:, -1], []
        for step in range(actions.shape[1]):
            now = now @ self.matrix.T + np.asarray(actions, dtype=float)[:, step] * self.b
            result.append(now)
        return np.stack(result, axis=1)


def windows(rows=64, steps=25, seed=0):
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((rows, 1, 2)).astype(np.float32)
    actions = rng.standard_normal((rows, steps, 1)).astype(np.float32)
    return window_probe("made up", states, np.zeros((rows, 0, 1), np.float32), actions)


def test_a_window_is_stretched_by_its_own_episode_and_begins_again_at_its_end(pendulum):
    interface = SimpleNamespace(history=4, states=("angle", "velocity"))
    probe = long_probe(pendulum, interface, rows=3, steps=300)
    episode = pendulum.of("test")[0]
    rows = pendulum.values[episode.start : episode.stop]
    remaining = 120 - 3  # the present is row 3 of 120
    np.testing.assert_array_equal(probe.states[0], rows[:4, :2])
    np.testing.assert_array_equal(probe.past_actions[0], rows[:3, 2:])
    np.testing.assert_array_equal(probe.actions[0, :remaining], rows[3:, 2:])
    np.testing.assert_array_equal(probe.actions[0, remaining : 2 * remaining], rows[3:, 2:])


def test_a_decaying_system_is_stable_and_a_growing_one_diverges(pendulum):
    still = stability(Linear(np.diag([0.9, 0.9])), pendulum)
    assert (still.steps, still.diverged, still.first_diverged_step) == (1000, 0.0, None)
    wild = stability(Linear(np.diag([1.1, 0.9])), pendulum)
    assert wild.diverged == 1.0
    # Ten spans above what was seen is reached by 1.1^k: log(10) / log(1.1) is 24 steps.
    assert 20 < wild.first_diverged_step < 200
    spoilt = stability(Linear([[np.nan, 0], [0, 1]]), pendulum)
    assert (spoilt.diverged, spoilt.first_diverged_step) == (1.0, 1)


def test_leaving_physical_limits_is_counted_by_state(pendulum):
    grows = Linear(np.diag([1.0, 1.01]), limits={"angle": (-9.0, 9.0), "velocity": (-8.0, 8.0)})
    result = stability(grows, pendulum)
    assert result.outside["angle"] == 0.0
    assert result.outside["velocity"] > 0.9  # 1.01^1000 is 20959 times the start


def test_noise_comes_out_of_a_linear_system_by_the_norm_of_its_power():
    """0.9^25 of the noise in the first state remains; the second gets twice that in addition."""
    result = sensitivity(Linear(np.diag([0.9, 1.0])), windows(2000), UNIT)
    assert result.channels["angle"].gain == pytest.approx(0.9**25, rel=0.1)
    assert result.channels["velocity"].gain == pytest.approx(1.0, rel=0.1)
    assert result.channels["velocity"].change == pytest.approx(0.01, rel=0.1)


ENERGY = Energy(formula="0.5 * velocity**2 + 0.5 * angle**2")


def test_a_spiral_inwards_loses_energy_and_one_outwards_gains_it():
    turn = np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    inwards = energy_growth(Linear(0.99 * turn), windows(), ENERGY)
    assert (inwards.value, inwards.passed) == (0.0, True)
    # Actions would push it outwards; without input they do not count.
    assert energy_growth(Linear(0.99 * turn, b=(9, 9)), windows(), ENERGY).passed
    probe = windows()
    outwards = energy_growth(Linear(1.01 * turn), probe, ENERGY)
    previous = 0.5 * (probe.states[:, 0].astype(float) ** 2).sum(axis=1)
    expected = (1.01**50 - 1) * previous.mean() / previous.std()  # the square of 1.01^25
    assert outwards.value == pytest.approx(expected, rel=1e-4)
    assert not outwards.passed
    assert not energy_growth(Linear(np.nan * turn), windows(), ENERGY).passed


def test_an_odd_system_is_symmetric_and_an_offset_breaks_it():
    mirrored = Symmetry(flip=["angle", "velocity", "torque"])
    odd = asymmetry(Linear(np.diag([0.9, 0.8]), b=(0.1, 0.2)), windows(), UNIT, mirrored)
    assert odd.passed
    assert odd.value < 1e-6
    half = Symmetry(flip=["angle", "velocity"])  # the torque pushes the same way in the mirror
    assert not asymmetry(Linear(np.diag([0.9, 0.8]), b=(0.1, 0.2)), windows(), UNIT, half).passed
    swapped = mirror(np.array([[1.0, 2.0]]), ("a", "b"), Symmetry(flip=["a"], swap=[("a", "b")]))
    np.testing.assert_array_equal(swapped, [[-2.0, 1.0]])


def test_names_that_are_no_channels_are_refused_by_the_task():
    channels = {"angle": SimpleNamespace(role="state"), "torque": SimpleNamespace(role="action")}
    requests = Verify(
        energy=Energy(formula="angel**2 + torque"), symmetry=Symmetry(flip=["angle", "toque"])
    )
    result = requests.problems(channels)
    assert [where for where, _ in result] == [
        ("energy", "formula", "angel"),
        ("energy", "formula", "torque"),
        ("symmetry", "flip", "toque"),
    ]
    assert "no state 'angel'" in result[0][1]


def test_the_best_of_five_blocks_counts_and_percentiles_are_those_of_it(monkeypatch):
    blocks = iter([[1.0] * 30, *([float(worst)] * 10 for worst in (9, 4, 2, 5, 7))])
    monkeypatch.setattr(timing, "times_of", lambda call, calls: next(blocks))
    result = timing.timed(lambda: None, whole=True)
    assert result == Latency(2.0, 2.0, 2.0, 2.0, 0.0, 1000, 5)


@pytest.fixture(scope="module")
def mlp():
    return random_step("mlp")


@pytest.fixture(scope="module")
def exported(step_folders):
    return step_folders["mlp"]


def test_times_are_in_order_and_a_bound_asks_for_whole_blocks(exported, pendulum):
    simulator = load(exported, non_finite="pass")
    probe = held_out_probe(pendulum, simulator.interface, 5)
    files = ExportedDynamics(exported)
    result = latency(files.timed_calls(probe))["rollout"]
    assert 0 < result.p50 <= result.p90 <= result.p99 <= result.p99_9
    assert result.jitter == pytest.approx(result.p99 - result.p50)
    rates = throughput(files.batch_call, probe, 5, (1, 2))
    assert {line.batch for line in rates} == {1, 16, 256}
    assert {line.threads for line in rates} == {1, 2}
    assert all(line.steps_per_second > 0 for line in rates)


def test_a_fresh_process_imports_the_runtime_alone(exported, monkeypatch):
    monkeypatch.setattr(COLD_START, subprocess)
    result = cold_start(exported)
    assert all(getattr(result, name) > 0 for name in ("load_ms", "first_call_ms", "process_mb"))
    assert result.process_mb < 200  # torch alone is more
    with pytest.raises(RuntimeError, match="in a new process failed"):
        cold_start(exported / "nowhere")


def test_invalid_input_is_refused_with_an_error_of_each_kind(exported, pendulum):
    simulator = load(exported, out_of_limits="raise")
    calls = invalid_calls(simulator, held_out_probe(pendulum, simulator.interface, 5))
    assert len(calls) == 10
    assert rejects_invalid_inputs(calls, "an error").passed
    passing = load(exported, non_finite="pass")  # takes NaN, and so is told
    calls = invalid_calls(passing, held_out_probe(pendulum, passing.interface, 5))
    assert rejects_invalid_inputs(calls, "an error").value == (
        "NaN in a state was accepted; infinity in a state was accepted; "
        "a state beyond its limits was accepted"
    )


def long(step, folder, pendulum, steps=200):
    simulator = load(folder, non_finite="pass")
    pair = Pair(simulator, step, pendulum.std[:2], np.array([True, False]))
    return compare_long(pair, long_probe(pendulum, simulator.interface, 8, steps))


def test_a_long_rollout_finds_what_one_step_hides(mlp, exported, pendulum):
    drifting = random_step("mlp")
    with torch.no_grad():
        drifting.output_mean += 5e-6  # half of what a step may be off
    assert not long(drifting, exported, pendulum).passed


def test_a_trained_step_of_nan_is_never_in_parity(mlp, exported, pendulum):
    spoilt = random_step("mlp")
    with torch.no_grad():
        spoilt.network.head.weight[0, 0] = np.nan
    row = long(spoilt, exported, pendulum)
    assert not row.passed
    assert not row.finite


def test_what_cannot_be_run_has_failed_and_says_why():
    def broken():
        raise ValueError("INVALID_ARGUMENT: index 0 got 7 expected 1\nmore")

    (row,) = try_comparison("rollout", windows(7), broken)
    assert (row.passed, row.batch, row.finite) == (False, 7, False)
    assert row.error == "INVALID_ARGUMENT: index 0 got 7 expected 1"


def test_the_files_run_on_whatever_else_is_present(exported):
    """Without an accelerator none is listed; with one, it opens or is reported as missing."""
    for provider in available_accelerators():
        simulator = open_on(exported, provider)
        assert simulator is None or simulator.interface == load(exported).interface
    simulator = open_on(exported, "CPUExecutionProvider")
    state = np.zeros((3, 2), np.float32)
    carry = load(exported).initial_carry(3)
    mine = simulator.step(state, np.zeros((3, 1), np.float32), *carry)
    other = load(exported).step(state, np.zeros((3, 1)), *carry)
    np.testing.assert_allclose(mine[0], other[0], atol=1e-6)


def test_a_provider_that_is_required_and_not_there_fails(exported, pendulum):
    settings = Verify(horizon=5, providers=["tensorrt"])
    rows = DynamicsSubject(exported, random_step("mlp"), pendulum, settings).compare_with_torch()
    failed = [row for row in rows if not row.passed]
    assert {row.call for row in failed} == {"step", "rollout"}
    assert "TensorrtExecutionProvider of verify.providers is not available" in failed[0].error


def test_out_of_limits_is_an_error_where_that_is_asked_for_and_passed_on_otherwise(exported):
    strict, lenient = load(exported, out_of_limits="raise"), load(exported)
    states, past, actions = (
        np.zeros((2, rows, width), np.float32) for rows, width in ((4, 2), (3, 1), (5, 1))
    )
    np.testing.assert_array_equal(
        strict.rollout(states, past, actions), lenient.rollout(states, past, actions)
    )
    actions[1, 2] = 6.01  # N·m, limits are -6 and 6
    assert np.isfinite(lenient.rollout(states, past, actions)).all()
    with pytest.raises(BadInput, match=r"actions, batch 1, horizon 2, torque: is 6\.01 .*-6 to 6"):
        strict.rollout(states, past, actions)
    with pytest.raises(BadInput, match=r"state, velocity: is -31 .*-30 to 30"):
        strict.observe([0.0, -31.0], [0.0])
    strict.observe([4.0, -30.0], [6.0])  # an angle has no limits here, and limits are allowed
    with pytest.raises(BadInput, match="'raise' or 'pass'"):
        load(exported, out_of_limits="maybe")


def test_without_an_interval_the_card_states_that_the_test_split_is_too_small():
    def analysis(low, high):
        model = SimpleNamespace(nrmse=0.2, intervals=lambda: (None, (low, high)))
        return SimpleNamespace(model=model)

    assert "too small for an interval" in accuracy_card(analysis(float("nan"), float("nan")))
    assert "95 % interval 0.100 to 0.300" in accuracy_card(analysis(0.1, 0.3))
