"""Planted faults, one of each kind; the benchmark runs all of them."""

import pytest

from benchmarks._exports import pendulum_data
from benchmarks._mutating import FAULTS
from benchmarks._sound import sound_models
from benchmarks.mutations import SOUND, clean, clean_fitted, page, plant
from kinemill.train.devices import single_thread

SOME = ["batch frozen at one", "angles not wrapped to ±π"]


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


@pytest.mark.slow
def test_planted_faults_are_detected_and_named_and_a_sound_export_passes(data, tmp_path):
    planted = plant(SOME, data, tmp_path)
    assert [one.title for one in planted if not one.is_named] == []
    sound = clean(["mlp, history 1"], data, tmp_path)
    assert [one.failures for one in sound] == [[]]
    assert page(planted, sound).startswith(
        "2 of 2 faults are detected, 2 named. 1 sound exports: 0 false"
    )


FITTED = [model.title for model in sound_models()]
QUICK = "1e4 spreads from zero, 4 lags"
KINDS = {"linear, 120 lags, 3 states of structure", "unstable, 1.6 a step"}


def marks(title):
    """Mark further kinds, and models that are slow only by their number."""
    return [] if title == QUICK else [pytest.mark.ci if title in KINDS else pytest.mark.slow]


@pytest.mark.parametrize("title", [pytest.param(title, marks=marks(title)) for title in FITTED])
def test_rounding_of_a_sound_model_passes_and_a_real_loss_is_reported(tmp_path, title):
    (result,) = clean_fitted([title], tmp_path)
    assert result.failures == []
