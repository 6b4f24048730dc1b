"""A policy on a robot: numbers by order or by name, images, texts, choices."""

import json
import pickle
import shutil
import threading

import numpy as np
import pytest

from benchmarks._policies import Chooser, Gains, Looking, Sampler
from kinemill.errors import BadInput
from kinemill.export.bundle import assemble, write_sums
from kinemill.runtime import Policy, Watchdog, load, load_policy, load_simulator
from kinemill.runtime.__main__ import main
from kinemill.runtime.policy import step_seed


@pytest.fixture
def gains(policy_folders):
    return policy_folders[Gains]


@pytest.fixture
def chooser(policy_folders):
    return policy_folders[Chooser]


@pytest.fixture
def looking(policy_folders):
    return policy_folders[Looking]


def test_what_is_observed_may_come_in_order_or_by_name(gains):
    policy, result = load(gains), []
    for observation in (
        [0.1, 0.02, -0.3],
        np.array([0.1, 0.02, -0.3]),
        {"observation": [0.1, 0.02, -0.3]},
        {"velocity": -0.3, "angle": 0.02, "position": 0.1, "temperature": 40.0},
    ):
        policy.reset()
        result.append(float(policy.act(observation)[0]))
    assert result == [result[0]] * 4
    assert policy.observation == ("position", "angle", "velocity")
    assert policy.units["force"] == "N"
    assert policy.dt == 0.02


def test_a_name_that_lacks_is_told_with_the_nearest_one(gains):
    with pytest.raises(BadInput, match=r"'velocity'.*did you mean 'velocty'"):
        load(gains).act({"velocty": 0.0, "angle": 0.0, "position": 0.0})


def test_other_shapes_and_kinds_are_refused_before_anything_runs(gains, looking):
    policy = load(gains)
    with pytest.raises(BadInput, match="2 long"):
        policy.act([0.0, 0.0])
    with pytest.raises(BadInput, match=r"angle.*nan"):
        policy.act([0.0, np.nan, 0.0])
    with pytest.raises(BadInput, match=r"angle.*is 0\.6"):
        load(gains, out_of_limits="raise").act([0.0, 0.6, 0.0])
    pictured = load(looking)
    with pytest.raises(BadInput, match="holds float64; expected uint8; images are uint8"):
        pictured.act({"camera": np.ones((8, 6, 3)), "order": "go"})
    with pytest.raises(BadInput, match=r"camera.*shape"):
        pictured.act({"camera": np.ones((6, 8, 3), np.uint8), "order": "go"})
    with pytest.raises(BadInput, match="a mapping with camera, order"):
        pictured.act(np.ones((8, 6, 3), np.uint8))


def test_what_was_refused_is_not_remembered(gains):
    policy = load(gains)
    policy.act([0.0, 0.05, 0.0])
    with pytest.raises(BadInput):
        policy.act([0.0, np.inf, 0.0])
    assert policy.act([0.0, 0.0, 0.0]) == pytest.approx([1.0], abs=1e-5)
    lenient = load(gains, non_finite="pass")
    lenient.act([0.0, 0.05, 0.0])
    assert np.isnan(lenient.act([0.0, np.inf, 0.0])).all()
    assert lenient.act([0.0, 0.0, 0.0]) == pytest.approx([1.0], abs=1e-5)


def test_actions_stay_within_their_limits(gains):
    assert load(gains).act([0.0, 0.5, 0.0]) == pytest.approx([10.0])
    assert load(gains).act([0.0, -1e30, 0.0]) == pytest.approx([-10.0])


def test_a_choice_is_a_whole_number_and_never_a_forbidden_one(chooser):
    policy = load(chooser)
    assert policy.act([1.0, 0.0]) == 0
    assert isinstance(policy.act([1.0, 0.0]), int)
    assert policy.act([1.0, 0.0], mask=[0, 1, 1]) == 1
    assert policy.act({"observation": [1.0, 0.0], "action_mask": np.array([0, 0, 1])}) == 2
    assert policy.act({"obs_0": 1.0, "obs_1": 0.0}, mask=[True, False, False]) == 0
    with pytest.raises(BadInput, match="forbids all 3 choices of action_0"):
        policy.act([1.0, 0.0], mask=[0, 0, 0])
    with pytest.raises(BadInput, match=r"action: is \[nan\]"):
        load(chooser, non_finite="pass").act([np.nan, 0.0])
    assert policy.limits["action_0"] == (0.0, 2.0)


def test_pictures_and_words(looking):
    policy, bright = load(looking), np.zeros((8, 6, 3), np.uint8)
    bright[:, 4:] = 255  # on the right
    speed, turn = policy.act({"camera": bright, "order": "stop"})
    assert speed == pytest.approx(0.4)
    assert turn > 0.1
    # é is two bytes, and what is beyond twelve bytes is cut off
    assert policy.act({"camera": bright, "order": "é"})[0] == pytest.approx(0.2)
    assert policy.act({"camera": bright, "order": "x" * 40})[0] == pytest.approx(1.2)
    assert policy.act({"camera": bright[:, ::-1], "order": ""})[1] == pytest.approx(-turn)


def test_a_policy_can_be_handed_to_another_process(gains):
    policy = load(gains)
    policy.act([0.0, 0.05, 0.0])
    restored = pickle.loads(pickle.dumps(policy))
    assert restored.act([0.0, 0.0, 0.0]) == pytest.approx([1.0], abs=1e-5)


def test_seeds_of_neighboring_episodes_and_steps_have_nothing_in_common():
    seeds = {step_seed(seed, step) for seed in range(100) for step in range(100)}
    assert len(seeds) == 10_000
    assert all(0 <= seed < 2**31 for seed in seeds)


def verified(folder, capsys) -> tuple[int, list[str]]:
    code = main(["verify", str(folder), "--calls", "20", "--json"])
    result = json.loads(capsys.readouterr().out)
    return code, [line["name"] for line in result["lines"] if not line["passed"]]


def test_a_sound_copy_passes_and_each_damage_is_named(policy_folders, tmp_path, capsys):
    for kind in (Gains, Chooser, Sampler, Looking):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        assemble(folder, policy_folders[kind])
        assert verified(folder, capsys) == (0, []), kind
    folder = tmp_path / "Gains"
    model = (folder / "policy.onnx").read_bytes()
    (folder / "policy.onnx").write_bytes(model.replace(b"position", b"pasition"))
    assert verified(folder, capsys) == (1, ["hashes"])
    # the file of another policy, its digest and all: the cases tell
    shutil.copy(policy_folders[Sampler] / "cases.npz", folder / "cases.npz")
    shutil.copy(policy_folders[Sampler] / "policy.onnx", folder / "policy.onnx")
    write_sums(folder)
    assert verified(folder, capsys) == (1, ["interface"])
    shutil.copy(policy_folders[Sampler] / "io.yaml", folder / "io.yaml")
    with np.load(folder / "cases.npz") as stored:
        moved = {**stored, "action": stored["action"] + 1e-3}
    np.savez(folder / "cases.npz", **moved)
    write_sums(folder)
    assert verified(folder, capsys) == (1, ["policy parity", "policy parity, batch 1"])


def test_a_watchdog_lets_a_policy_act_and_is_safe_where_it_may_not(gains):
    now = [0.0]
    guard = Watchdog(load(gains), max_age=0.04, deadline=5.0, clock=lambda: now[0])
    assert guard.act().why == "nothing was observed yet"
    guard.observe({"position": 0.0, "angle": 0.05, "velocity": 0.0})
    assert guard.act().action == pytest.approx([3.0], abs=1e-5)
    guard.observe([0.0, np.nan, 0.0])
    command = guard.act()
    assert command.why == "input is not finite"
    assert command.action == pytest.approx([0.0])
    guard.observe([0.0, 0.0, 0.0])
    now[0] = 0.1
    assert "stale input" in guard.act().why
    guard.close()
    with pytest.raises(BadInput, match="3 observed numbers"):
        guard.observe([0.0, 0.0])


def test_a_policy_is_no_model_to_plan_on(gains):
    assert load_policy(gains).actions == ("force",)
    with pytest.raises(BadInput, match="is a policy; expected a model of dynamics"):
        load_simulator(gains)


def test_a_reset_while_another_thread_acts_forgets_that_step(gains):
    opened = load(gains)
    gate, started = threading.Event(), threading.Event()
    gate.set()

    def wait(feed):
        started.set()
        assert gate.wait(60.0)
        return opened._engine(feed)

    policy, observation, rest = Policy(opened.interface, wait), [0.0, 0.05, 0.0], [0.0, 0.0, 0.0]
    first = policy.act(rest)
    policy.act(observation)
    assert policy.act(rest) != first  # it has a memory
    gate.clear()
    started.clear()
    controller = threading.Thread(target=policy.act, args=(observation,))
    controller.start()
    assert started.wait(60.0)
    resetting = threading.Thread(target=policy.reset)
    resetting.start()
    resetting.join(0.1)
    gate.set()
    for thread in (controller, resetting):
        thread.join(60.0)
    assert policy.act(rest) == first


def test_a_carry_of_other_numbers_is_converted_or_refused_in_words(gains):
    policy = load(gains)
    inputs = {"observation": np.array([[0.0, 0.05, 0.0]])}
    carry = policy.initial_carry(1)
    expected, _ = policy.step(inputs, carry)
    result, _ = policy.step(inputs, tuple(part.astype(np.float64).tolist() for part in carry))
    np.testing.assert_array_equal(result, expected)
    with pytest.raises(BadInput, match="carry_0: has shape"):
        policy.step(inputs, tuple(np.zeros((2, 9)) for _ in carry))
