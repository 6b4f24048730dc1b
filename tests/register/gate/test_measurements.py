"""Measurements of the gate: errors on the test split, and whether a model can be served."""

import json
import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kinemill import runtime
from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.export.bundle import write_interface
from kinemill.register.gate.measurements import DynamicsMeasurements, output_comparisons
from kinemill.runtime import Simulator
from kinemill.selection.references.baselines import Persistence
from kinemill.store import get_or_build
from kinemill.task import load_task
from kinemill.verify.accuracy import evaluate
from kinemill.verify.losses import losses
from tests.dataset.packing import write_packed
from tests.export.documents import io_of
from tests.register.conftest import interface, rollout_model, step_model
from tests.verify.conftest import pack, swing


@pytest.fixture
def bundle(tmp_path):
    def make(gain):
        folder = tmp_path / f"gain {gain}"
        folder.mkdir(exist_ok=True)
        (folder / "rollout.onnx").write_bytes(rollout_model(gain, interface()).SerializeToString())
        (folder / "step.onnx").write_bytes(step_model(gain, interface()).SerializeToString())
        write_interface(folder, io_of("cart"))
        return folder

    return make


@pytest.fixture
def six_episodes(tracked_home):
    """A dataset with six test episodes of 30 rows; states go 1, -1, ...; forces 1 to 6 N."""

    def build(folder):
        rows = np.empty((210, 3), dtype=np.float32)
        rows[:, :2] = np.where(np.arange(210) % 2 == 0, 1.0, -1.0)[:, None]
        rows[:, 2] = np.arange(210) // 30
        splits = ["train", *["test"] * 6]
        dataset = PackedDataset(
            task="cart",
            dt=0.02,
            states=["position", "velocity"],
            actions=["force"],
            units={"position": "m", "velocity": "m/s", "force": "N"},
            angles=[],
            episodes=[
                PackedEpisode(f"e{n}", f"r{n}", f"r{n}", split, 30 * n, 30 * n + 30)
                for n, split in enumerate(splits)
            ],
            segments=[rows],
            mean=np.zeros(3),
            std=np.ones(3),
            delta_std=np.full(2, 2.0),
        )
        write_packed(folder, dataset)
        return {}

    return get_or_build(tracked_home, "dataset", "cart", {"six": 1}, build).ref


def test_both_are_measured_on_the_same_windows_with_a_paired_interval(
    task, tracked_home, six_episodes, bundle
):
    task = load_task(task.path, {"verify.horizon": 4})
    test = DynamicsMeasurements(task, tracked_home, six_episodes)
    models = [runtime.load(bundle(gain)) for gain in (0.25, 0.5)]
    comparison = test.compare(*models)
    # Off by gain * n N in episode n: RMSE gain * sqrt(mean of n squared) = gain * sqrt(91 / 6).
    assert comparison.challenger.channels["position"] == pytest.approx(0.25 * math.sqrt(91 / 6))
    assert comparison.measured.error == pytest.approx(0.5 * math.sqrt(91 / 6))
    assert (comparison.challenger.windows, comparison.challenger.episodes) == (30, 6)
    # In every episode the errors are as 1 to 2, so whichever is left out, the ratio is 1/2, though
    # the error of each by itself is anything between 1 and 6 times its gain.
    assert comparison.paired.interval == pytest.approx((0.5, 0.5))
    assert set(comparison.paired.horizons) == {"1", "2", "4", "free_run"}
    assert comparison.paired.horizons["2"]["velocity"].ratio == pytest.approx(0.5)
    worse = test.compare(models[1], models[0]).paired
    assert worse.interval == pytest.approx((2.0, 2.0))
    assert worse.horizons["4"]["nrmse"].p_worse < 1e-6
    assert test.age() < 3600.0


def test_a_longer_history_of_either_sets_where_both_begin(
    task, tracked_home, six_episodes, bundle, tmp_path
):
    task = load_task(task.path, {"verify.horizon": 4})
    folder = tmp_path / "long"
    folder.mkdir()
    described = interface(history=11)
    (folder / "rollout.onnx").write_bytes(rollout_model(0.5, described).SerializeToString())
    test = DynamicsMeasurements(task, tracked_home, six_episodes)
    comparison = test.compare(runtime.load(bundle(0.25)), runtime.load(folder / "rollout.onnx"))
    assert (
        comparison.challenger.windows == comparison.measured.windows == 24
    )  # (30 - 15) / 5 + 1, six times
    assert comparison.challenger.history == 11
    own = test.measure(runtime.load(bundle(0.3))).measured
    assert (own.windows, own.history) == (30, 3)


def test_what_diverges_errs_infinitely(task, tracked_home, six_episodes):
    task = load_task(task.path, {"verify.horizon": 4})

    def runs_away(states, past_actions, actions):
        return np.full((len(states), actions.shape[1], 2), np.inf)

    model = SimpleNamespace(history=3, rollout=runs_away)
    result = DynamicsMeasurements(task, tracked_home, six_episodes).measure(model)
    assert result.measured.error == math.inf
    assert result.references["persistence"].horizons["free_run"]["nrmse"].error == math.inf


def test_the_metric_of_one_channel_is_its_rmse_and_its_own_interval(
    task, tracked_home, six_episodes
):
    """Off by gain * n N in episode n; the two channels have gains of their own."""
    requested = {"verify.horizon": 4, "promote.metric": "test/velocity"}
    test = DynamicsMeasurements(load_task(task.path, requested), tracked_home, six_episodes)

    def gains(position, velocity):
        def rollout(states, past_actions, actions):
            pushed = actions[:, :, :1] * np.array([position, velocity])
            return states[:, -1:] * (-1.0) ** np.arange(1, actions.shape[1] + 1)[:, None] + pushed

        return SimpleNamespace(
            history=3, rollout=rollout, interface=SimpleNamespace(states=("position", "velocity"))
        )

    comparison = test.compare(
        gains(0.9, 0.25), gains(0.1, 0.5)
    )  # worse on average, better in velocity
    assert comparison.challenger.error == pytest.approx(0.25 * math.sqrt(91 / 6))
    assert comparison.measured.error == pytest.approx(0.5 * math.sqrt(91 / 6))
    assert comparison.paired.interval == pytest.approx((0.5, 0.5))
    runs_away = test.measure(gains(math.inf, 0.0)).measured
    assert runs_away.error == math.inf  # velocity is exact, and it diverges all the same


def test_the_registered_copy_is_what_has_to_serve(chain):
    chain.register(0.1)
    shutil.rmtree(chain.home.artifacts)
    from kinemill.register import promotion
    from kinemill.register.decision_service import serves
    from kinemill.register.versions import find_version
    from kinemill.tracking import open_tracking

    tracking = open_tracking(chain.home)
    good, message = serves(
        tracking, find_version(tracking.home, "cart", ":1"), promotion.run_stored_cases
    )
    assert not good
    assert message.startswith("the registered copy is damaged:")
    assert json.dumps(message)


HORIZON = 10


def dataset():
    """Return a pendulum with a temperature and with a force that depends on states and torque."""
    runs = [swing(300, seed) for seed in range(4)]
    packed = pack({"train": runs[:1], "test": runs[1:]})
    values = np.asarray(packed.values)
    outputs = np.stack([force(values), 20.0 + np.sin(np.arange(len(values)))], axis=1)
    names = ["force", "temperature"]
    return replace(packed, outputs=names, output_values=outputs.astype(np.float32))


def force(rows):
    return 9.0 * np.cos(rows[..., 0]) + rows[..., 1] ** 2 + rows[..., 2]


class Fake(Simulator):
    """Predicts the true force of a known dataset with noise, row by row."""

    def __init__(self, data, noise, history=3, outputs=("force", "temperature")):
        self.data, self.noise, self.rows_known = data, noise, history
        self.names, self.random = outputs, np.random.default_rng(5)

    @property
    def history(self):
        return self.rows_known

    @property
    def outputs(self):
        return self.names

    def rollout_outputs(self, states, past_actions, actions):
        values = np.asarray(self.data.values)
        assert states.shape[1] == self.rows_known
        at = [int((values[:, :2] == row[-1]).all(1).nonzero()[0][0]) for row in states]
        index = np.array(at)[:, None] + np.arange(actions.shape[1])
        truth = self.data.output_values[index]
        noise = self.noise * self.random.normal(size=truth.shape)
        order = [self.data.outputs.index(name) for name in self.names]
        return states, (truth + noise)[..., order].astype(np.float32)


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(scope="module")
def errors(data):
    return evaluate(Persistence(), data, "test", [1, 3, HORIZON], 3, 5)


def losses_of(data, errors, own, other):
    compared = output_comparisons((own, other), data, errors, 0.02)
    states = errors.compare(errors, 0.02)
    horizons = {key: {**one, **compared[key]} for key, one in states.items()}
    return losses({"champion": horizons}, ["1", "3", "10"])["champion"]


def test_the_errors_are_those_of_the_rows_ahead(data, errors):
    """An exact model has no error after any number of steps, with any history."""
    models = Fake(data, 0.0), Fake(data, 0.1, history=5)
    compared = output_comparisons(models, data, errors, 0.02)
    expected = 0.1 / data.output_values[:300, 0].std()
    assert set(compared) == {"1", "3", "10"}
    for comparison in compared.values():
        assert comparison["force"].error < 1e-6
        assert comparison["force"].reference == pytest.approx(expected, rel=0.1)


def test_a_challenger_with_worse_outputs_loses_there_alone(data, errors):
    lost = losses_of(data, errors, Fake(data, 1.5), Fake(data, 0.3))
    assert {one.channel for one in lost} == {"force", "temperature"}
    assert {one.horizon for one in lost} == {"1", "3", "10"}


def test_outputs_that_only_one_has_are_compared_by_their_interface(data, errors):
    two_models = Fake(data, 0.1), Fake(data, 0.1, outputs=("temperature",))
    assert set(output_comparisons(two_models, data, errors, 0.02)["1"]) == {"temperature"}
    plain = replace(data, outputs=[], output_values=None)
    assert output_comparisons(two_models, plain, errors, 0.02) == {}
