"""Planted faults, one of each kind; the benchmark runs all of them."""

import pytest

from benchmarks._exports import pendulum_data
from benchmarks._mutating import FAULTS
from benchmarks._mutating_policies import FAULTS as OF_POLICIES
from benchmarks._mutating_policies import sound_policies
from benchmarks._sound import sound_models
from benchmarks.mutations import SOUND, clean, clean_fitted, page, plant, plant_in_policies
from kinemill.train.devices import single_thread

SOME = [
    "batch frozen at one",
    "angles not wrapped to ±π",
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with single_thread():
        yield


@pytest.fixture(scope="module")
def data():
    return pendulum_data()


def test_there_are_at_least_thirty_faults_and_sound_exports():
    assert len(FAULTS) >= 30
    assert len({title for title, *_ in SOUND}) == len(SOUND) >= 30


def test_planted_faults_are_detected_and_named_and_a_sound_export_passes(data, tmp_path):
    planted = plant(SOME, data, tmp_path)
    assert [one.title for one in planted if not one.is_named] == []
    sound = clean(["mlp, history 1"], data, tmp_path)
    assert [one.failures for one in sound] == [[]]
    assert page(planted, sound).startswith(
        "2 of 2 faults are detected, 2 named. 1 sound exports: 0 false"
    )


@pytest.mark.slow
@pytest.mark.parametrize("title", list(FAULTS))
def test_every_planted_fault_is_detected_and_named(data, tmp_path, title):
    (result,) = plant([title], data, tmp_path)
    assert result.is_named, result.failures


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title, *_ in SOUND])
def test_every_sound_export_passes(data, tmp_path, title):
    (result,) = clean([title], data, tmp_path)
    assert result.failures == []


FITTED = [model.title for model in sound_models()]
QUICK = (  # one of each kind; the others are slow only by their number
    "linear, 120 lags, 3 states of structure",
    "1e4 spreads from zero, 4 lags",
    "unstable, 1.6 a step",
)


@pytest.mark.parametrize(
    "title", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in FITTED]
)
def test_rounding_of_a_sound_model_passes_and_a_real_loss_is_reported(tmp_path, title):
    (result,) = clean_fitted([title], tmp_path)
    assert result.failures == []


def test_there_are_twelve_models_of_many_lags_far_stiff_and_unstable_ones():
    every = sound_models()
    assert len([one for one in every if one.history >= 20]) >= 12
    assert {one.robot.name for one in every} >= {"structure", "axis", "far", "stiff", "unstable"}


@pytest.mark.parametrize("title", ["observations not normalized", "NaN replaced by 0"])
def test_a_fault_of_a_policy_is_detected_and_named(tmp_path, title):
    (result,) = plant_in_policies([title], tmp_path)
    assert result.is_named, result.failures


@pytest.mark.slow
@pytest.mark.parametrize("title", list(OF_POLICIES))
def test_every_planted_fault_of_policies_is_detected_and_named(tmp_path, title):
    (result,) = plant_in_policies([title], tmp_path)
    assert result.is_named, result.failures


@pytest.mark.slow
def test_every_sound_policy_passes(tmp_path):
    assert [message for _, message in sound_policies(tmp_path)] == [[], [], [], []]
