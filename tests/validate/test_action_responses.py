"""Flipped and exchanged actions: only other recordings tell in which direction a robot goes."""

import shutil

import numpy as np
import polars as pl
import pytest

from benchmarks._planting import simulated_episodes
from kinemill.ingest import stage as ingest
from kinemill.task import load_task
from kinemill.validate import stage as validate
from kinemill.validate.action_responses import (
    Responding,
    action_products,
    find_action_outliers,
    make_response_reference,
)
from kinemill.validate.stage import load_checks
from tests.conftest import EXAMPLES
from tests.validate.test_wider_physics import make_arm_task


def outliers(task, logs):
    products = {name: action_products(values, task) for name, values in logs.items()}
    return among(task, products, products)


def among(task, sample, products):
    """Name and channels of the outliers among `products`, compared with a sample of recordings."""
    present = {name: one for name, one in sample.items() if one}
    reference = make_response_reference(present)
    recordings = [Responding(name, name, one) for name, one in products.items() if one]
    found = find_action_outliers(recordings, reference, task) if reference else []
    return sorted((one.recording, one.channels) for _, one in found)


def pushed_arm(seed: int, task, rows: int = 1000):
    """Two joints with friction at 100 Hz: accelerations 2 and 5 rad/s^2 per N*m, and -1 across."""
    random = np.random.default_rng(seed)
    torque = np.repeat(random.uniform(-2, 2, (rows // 10, 2)), 10, axis=0)
    gain = np.array([[2.0, -1.0], [-1.0, 5.0]])
    speed, angle = np.zeros((rows, 2)), np.zeros((rows, 2))
    for k in range(rows - 1):
        speed[k + 1] = speed[k] + 0.01 * (gain @ torque[k] - 2.0 * speed[k])
        angle[k + 1] = angle[k] + 0.01 * speed[k + 1]
    columns = np.concatenate((angle, speed, torque), axis=1).T
    return dict(zip(task.columns, columns, strict=True))


@pytest.fixture(scope="module")
def arm():
    task = make_arm_task()
    second = task.channels["torque"]
    channels = {**task.channels, "other_torque": second}
    task = task.model_copy(update={"channels": channels})
    return task, {f"run{seed}": pushed_arm(seed, task) for seed in range(8)}


def test_robots_that_answer_alike_are_left_alone(arm):
    assert outliers(*arm) == []


@pytest.mark.parametrize("name", ["torque", "other_torque"])
def test_a_flipped_action_is_named_with_its_recording(arm, name):
    task, logs = arm
    wrong = {**logs["run3"], name: -logs["run3"][name]}
    assert outliers(task, {**logs, "run3": wrong}) == [("run3", [name])]


def test_exchanged_actions_are_named_both(arm):
    task, logs = arm
    one, other = logs["run5"]["torque"], logs["run5"]["other_torque"]
    wrong = {**logs["run5"], "torque": other, "other_torque": one}
    assert outliers(task, {**logs, "run5": wrong}) == [("run5", ["torque", "other_torque"])]


def test_four_recordings_are_too_few_to_say_which_one_is_wrong(arm):
    task, logs = arm
    four = {name: logs[name] for name in ("run0", "run1", "run2", "run3")}
    four["run0"] = {**four["run0"], "torque": -four["run0"]["torque"]}
    assert outliers(task, four) == []


def test_a_recording_is_compared_with_a_sample_that_it_need_not_belong_to(arm):
    task, logs = arm
    products = {
        f"{name}-{copy}": action_products(values, task)
        for name, values in logs.items()
        for copy in range(4)
    }
    wrong = {**logs["run3"], "torque": -logs["run3"]["torque"]}
    products["wrong"] = action_products(wrong, task)
    whole = among(task, products, products)
    assert whole == [("wrong", ["torque"])]
    names = sorted(products)
    sample = {name: products[name] for name in names[:20]}
    assert "wrong" not in sample
    parts = [{name: products[name] for name in names[k::3]} for k in range(3)]
    assert sorted(one for part in parts for one in among(task, sample, part)) == whole
    assert make_response_reference({name: products[name] for name in names[:4]}) is None


def test_short_runs_and_robots_at_rest_have_no_answer(arm):
    task, logs = arm
    short = {name: column[:199] for name, column in logs["run0"].items()}
    assert action_products(short, task) is None
    still = {name: np.zeros(1000) for name in task.columns}
    assert action_products(still, task) is None


def test_simulated_carts_are_sound_and_a_flipped_force_among_them_is_found():
    episodes = simulated_episodes(seed=5, logs=12)
    task, logs = episodes[0].task, {episode.name: episode.values for episode in episodes}
    assert outliers(task, logs) == []
    detected = 0
    for name in list(logs)[:10]:
        wrong = {**logs[name], "cart_force": -logs[name]["cart_force"]}
        detected += outliers(task, {**logs, name: wrong}) == [(name, ["cart_force"])]
    assert detected >= 8  # a cart that mostly stands at a stop does not answer


def test_real_robots_are_sound_and_flipped_torques_among_them_are_found(
    double_pendulum, simple_pendulum, shared_data
):
    for task, logs in (double_pendulum, simple_pendulum):
        assert outliers(task, logs) == []
    task, logs = double_pendulum
    flipped = exchanged = 0
    for name, values in logs.items():
        wrong = {**values, "elbow_torque": -values["elbow_torque"]}
        listed = outliers(task, {**logs, name: wrong})
        assert {recording for recording, _ in listed} <= {name}
        flipped += listed == [(name, ["elbow_torque"])]
        one, other = values["shoulder_torque"], values["elbow_torque"]
        wrong = {**values, "shoulder_torque": other, "elbow_torque": one}
        exchanged += outliers(task, {**logs, name: wrong}) == [
            (name, ["shoulder_torque", "elbow_torque"])
        ]
    # The gentlest excitations hardly overcome friction: those runs do not tell.
    assert (flipped, exchanged) == (9, 9)


def test_validation_warns_of_a_log_with_a_flipped_torque_and_takes_it(home, shared_data, tmp_path):
    task = load_task(EXAMPLES / "double_pendulum.yaml", {"ingest.min_file_age": 0.0})
    for path in (shared_data / "double_pendulum_sysid").glob("A0_20220812_*_7col.csv"):
        shutil.copy(path, tmp_path)
    (wrong,) = tmp_path.glob("*060143_7col.csv")
    pl.read_csv(wrong).with_columns(-pl.col("tau2")).write_csv(wrong)
    artifact = validate.run(task, home, ingest.run(task, home, tmp_path).artifact.ref)
    assert (artifact.summary["recordings"], artifact.summary["quarantined"]) == (6, 0)
    (check,) = [each for each in load_checks(home, artifact.ref) if each.name == "action_outliers"]
    assert (check.passed, check.blocking, check.values["found"]) == (False, False, 1)
    (item,) = check.values["failing"]
    assert (item["recording"], item["channels"]) == (wrong.name, ["elbow_torque"])
    assert item["found"].startswith("as if elbow_torque were inverted")
